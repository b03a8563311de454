"""Bitnob to Notch Pay: two parts of a name become one, blocked customers stay blocked, and metadata gets a marker."""

from unittest.mock import ANY

from switch import Pair, Person


def id(number):
    return f"00000000-0000-4000-8000-{number:012d}"


def customer(number, first, last, email, phone="", **fields):
    dial = "+234" if phone else ""
    names = {"first_name": first, "last_name": last}
    return {"id": number and id(number), **names, "email": email, "phone": phone, "country_code": dial, **fields}


def copy(name, email, phone=None, **fields):
    # The marker says which customer of which gateway a copy belongs to.
    return {"name": name, "email": email, "phone": phone, "metadata": {"passerelle_op": ANY}, **fields}


def plain(number):
    email, phone = f"bob{number}@example.com", f"80300000{number:02d}"
    return Person(
        customer(number, "Bob", f"Wonder{number}", email, phone), copy(f"Bob Wonder{number}", email, f"+234{phone}")
    )


PEOPLE = {f"plain {number}": plain(number) for number in range(1, 11)} | {
    "blocked": Person(
        customer(11, "Ngozi", "Obi", "ngozi@example.com", blacklist=True),
        copy("Ngozi Obi", "ngozi@example.com", blocked=True),
    ),
    "a business": Person(
        customer(12, "Kano", "Traders", "kano@example.com", customer_type="business"),
        copy("Kano Traders", "kano@example.com"),
    ),
    "one name": Person(customer(13, "Ada", "", "ada@example.com"), copy("Ada", "ada@example.com")),
    "first of a family": Person(
        customer(14, "Chidi", "Eze", "chidi@example.com", "8030000014"),
        copy("Chidi Eze", "chidi@example.com", "+2348030000014"),
    ),
    "second of a family": Person(
        customer(15, "Uche", "Eze", "uche@example.com", "8030000014"),
        copy("Uche Eze", "uche@example.com", "+2348030000014"),
    ),
    "one match": Person(
        customer(20, "Tunde", "Bello", "Tunde@Example.com", "8030000020"), plan=("linked", "matched_by_email")
    ),
    "first of two with the number of a record": Person(
        customer(21, "Two", "One", "two.one@example.com", "8030000021"),
        plan=("needs_decision", "phone_only_match"),
        wrong=("link", "cus.unknown", "record_unknown"),
        decision=("link", "cus.two"),
        end=("linked", "matched_by_decision"),
    ),
    "second of two with the number of a record": Person(
        customer(22, "Two", "One", "two.two@example.com", "8030000021"),
        copy("Two One", "two.two@example.com", "+2348030000021"),
        plan=("needs_decision", "phone_only_match"),
        wrong=("link", "cus.tunde", "record_already_linked"),
        decision=("create", ""),
        end=("created", ""),
    ),
    "phone only": Person(
        customer(25, "Sade", "Adu", "sade@example.com", "8030000025"),
        plan=("needs_decision", "phone_only_match"),
        decision=("link", "cus.sade"),
        end=("linked", "matched_by_decision"),
    ),
    "another name": Person(
        customer(26, "Another", "Name", "contra@example.com", "8030000026"),
        plan=("needs_decision", "contradicting_match"),
        decision=("leave", ""),
        end=("left", "contradicting_match"),
    ),
    "several records": Person(
        customer(30, "Several", "", "several@example.com", "8030000030"),
        plan=("needs_decision", "several_matches"),
        decision=("link", "cus.several.1"),
        end=("linked", "matched_by_decision"),
    ),
    # Notch Pay's documents disagree whether a name is required, so the vendor says it.
    "without a name": Person(
        customer(27, "", "", "nameless@example.com"), run=("refused", "provider_refused"), names="name"
    ),
    "a name that is too long": Person(
        customer(28, "A" * 100, "B" * 100, "long@example.com"), run=("refused", "provider_refused"), names="name"
    ),
}


def record(id, name, email=None, phone=None):
    return {"id": id, "name": name, "email": email, "phone": phone}


def changed(number):
    """Bitnob documents four fields for an update, and all are sent, the phone number in international form."""
    here = {"first_name": "Bob", "last_name": f"Marley{number}", "phone": f"+23480300000{number:02d}"}
    return f"plain {number}", {"name": f"Bob Marley{number}"}, here, {"name": f"Bob Marley{number}"}


BLANK = dict.fromkeys(("phone", "company_name", "address", "billing", "tax_number")) | {"blocked": False}


def created(number, is_copied=True):
    name, email, phone = f"Ify Okoro{number}", f"ify{number}@example.com", f"80311111{number:02d}"
    here = customer(None, "Ify", f"Okoro{number}", email, phone, blacklist=False, customer_type="individual")
    there = {**BLANK, **copy(name, email, f"+234{phone}")}
    if not is_copied:
        there["metadata"] = {}
    return f"made {number}", {"name": name, "email": email, "phone": f"+234{phone}"}, here, there


def stranger(first, last, email, phone=""):
    return customer(None, first, last, email, phone, blacklist=False, customer_type="individual")


PAIR = Pair(
    source="bitnob",
    target="notchpay",
    settings='region = "NG"',
    people=PEOPLE,
    blank=BLANK,
    there={
        "tunde": record("cus.tunde", "Tunde Bello", "tunde@example.com"),
        "two": record("cus.two", "Two One", phone="+2348030000021"),
        "sade": record("cus.sade", "Sade Adu", phone="+2348030000025"),
        "name": record("cus.name", "Some Body", "contra@example.com", "+2348030000099"),
        "several 1": record("cus.several.1", "Several", "s1@example.com", "+2348030000030"),
        "several 2": record("cus.several.2", "Several", "s2@example.com", "+2348030000030"),
        "collision": record(id(3), "Only There", "only.there@example.com"),
    },
    linked={
        "tunde": "one match",
        "two": "first of two with the number of a record",
        "sade": "phone only",
        "several 1": "several records",
    },
    filled={
        "one match": {"phone": "+2348030000020"},
        "first of two with the number of a record": {"email": "two.one@example.com"},
        "phone only": {"email": "sade@example.com"},
    },
    shows={
        "one match": {"email": "tunde@example.com", "phone": "+2348039999999"},
        "several records": {"email": "s1@example.com"},
    },
    lost=set(),
    strangers={
        "collision": stranger("Only", "There", "only.there@example.com"),
        "several 2": stranger("Several", "", "s2@example.com", "8030000030"),
    },
    forecast={"blocked": (1, 1, 0, 0, 0)},
    collision="plain 3",
    stuck={"name": "unique_value_taken"},
    changed_copy=("plain 1", {"name": "Changed"}, "name", {}),
    removed_copy="plain 2",
    changed_link=("one match", {"phone": "+2348039999999"}, "phone"),
    changed_home=("blocked", {"blacklist": False}, {"blocked": False}, {"blocked": None}),
    updates=[changed(4), changed(5), changed(6), changed(1)],
    creates=[created(1), created(2, is_copied=False), created(3), created(4, is_copied=False)],
    deletes=["plain 7", "plain 8", "plain 9", "plain 10"],
)
