"""lomi. to Notch Pay: addresses with a country as free text, and customers without contacts."""

from unittest.mock import ANY

from switch import Pair, Person


def id(number):
    return f"00000000-0000-4000-8000-{number:012d}"


def customer(number, name, email=None, phone=None, **fields):
    return {"id": id(number), "name": name, "email": email, "phone_number": phone, **fields}


def address(country, city="Dakar", line="Rue 1"):
    return {"country": country, "city": city, "address_line1": line}


def copy(name, email=None, phone=None, **fields):
    # The marker says which customer of which gateway a copy belongs to.
    return {"name": name, "email": email, "phone": phone, "metadata": {"passerelle_op": ANY}, **fields}


def plain(number):
    name, email, phone = f"Amadou Ba {number}", f"amadou{number}@example.com", f"+2217700000{number:02d}"
    source = customer(number, name, email, phone, country="Senegal", city="Dakar", address="Rue 1")
    return Person(source, copy(name, email, phone, address=address("SN")))


PEOPLE = {f"plain {number}": plain(number) for number in range(1, 11)} | {
    "not in the list": Person(
        customer(11, "Awa Diop", "awa@example.com", listed=False), copy("Awa Diop", "awa@example.com")
    ),
    "a business": Person(
        customer(12, "Dakar Traders", "traders@example.com", is_business=True, whatsapp_number="+221770000012"),
        copy("Dakar Traders", "traders@example.com"),
    ),
    "a code of a country": Person(
        customer(13, "Khady Fall", "khady@example.com", country="CI", city="Abidjan"),
        copy("Khady Fall", "khady@example.com", address={"country": "CI", "city": "Abidjan"}),
    ),
    "one match": Person(
        customer(20, "Fatou Sow", "fatou@example.com", "+221770000020"), plan=("linked", "matched_by_email")
    ),
    "phone only": Person(
        customer(21, "Modou Sarr", phone="+221770000021"),
        plan=("needs_decision", "phone_only_match"),
        wrong=("link", "cus.unknown", "record_unknown"),
        decision=("link", "cus.modou"),
        end=("linked", "matched_by_decision"),
    ),
    "without contacts": Person(
        customer(22, "Without Contact"), plan=("refused", "required_field_missing"), names="email"
    ),
}


def record(id, name, email=None, phone=None):
    return {"id": id, "name": name, "email": email, "phone": phone}


def changed(number):
    name = f"Amadou Sy {number}"
    return f"plain {number}", {"name": name}, {"name": name}, {"name": name}


BLANK = dict.fromkeys(("phone", "company_name", "address", "billing", "tax_number")) | {"blocked": False}


def stored(name, email, phone=""):
    """lomi stores an empty text for what a request lacks, and lists no customer without a transaction."""
    empty = dict.fromkeys(("whatsapp_number", "country", "city", "address", "postal_code"), "")
    return {**empty, "name": name, "email": email, "phone_number": phone} | {
        "is_business": False,
        "metadata": None,
        "listed": False,
    }


def created(number, is_copied):
    body = {"name": f"John Doe {number}", "email": f"john{number}@example.com", "phone": f"+2217711111{number:02d}"}
    there = {**BLANK, **copy(**body)}
    if not is_copied:
        there["metadata"] = {}
    return f"made {number}", body, stored(**body), there


PAIR = Pair(
    source="lomi",
    target="notchpay",
    settings='region = "SN"\non_loss = "carry"',
    people=PEOPLE,
    blank=BLANK,
    there={
        "fatou": record("cus.fatou", "Fatou Sow", "fatou@example.com"),
        "modou": record("cus.modou", "Modou Sarr", phone="+221770000021"),
        "collision": record(id(3), "Only There", "only.there@example.com"),
    },
    linked={"fatou": "one match", "modou": "phone only"},
    filled={"one match": {"phone": "+221770000020"}},
    shows={"one match": {"phone": "+221779999999"}},
    strangers={"collision": stored("Only There", "only.there@example.com")},
    forecast={"address.country": (11, 11, 0, 0, 0), "whatsapp": (1, 0, 0, 1, 0)},
    collision="plain 3",
    stuck={},
    changed_copy=("plain 1", {"address": address("SN", city="Thies")}, "address.city", {"address": address("SN")}),
    removed_copy="plain 2",
    changed_link=("one match", {"phone": "+221779999999"}, "phone"),
    changed_home=(
        "a code of a country",
        {"city": "Bouake"},
        {"address": {"country": "CI", "city": "Bouake"}},
        {
            "address": {
                "line1": None,
                "line2": None,
                "city": "Bouake",
                "state": None,
                "postal_code": None,
                "country": "CI",
            }
        },
    ),
    updates=[changed(4), changed(5), changed(6), changed(1)],
    creates=[created(1, True), created(2, False), created(3, True), created(4, False)],
    deletes=["plain 7", "plain 8", "plain 9", "plain 10"],
)
