"""Notch Pay to Modem Pay: the target has names, contacts and a balance alone, so the gateway carries all the rest."""

from unittest.mock import ANY

from switch import Pair, Person


def id(number):
    return f"cus_000000000000{number:04d}"


def customer(number, name, email=None, phone=None, **fields):
    return {"id": id(number), "name": name, "email": email, "phone": phone, **fields}


def copy(name, email=None, phone=None):
    return {"name": name, "email": email, "phone": phone}


def plain(number):
    name, email, phone = f"John Doe {number}", f"john{number}@example.com", f"3000{number:03d}"
    more = {
        "metadata": {"user_id": str(number)},
        "address": {"country": "GM", "city": "Banjul", "address_line1": "1 Main St"},
    }
    return Person(customer(number, name, email, f"+220{phone}", **more), copy(name, email, phone))


PEOPLE = {f"plain {number}": plain(number) for number in range(1, 11)} | {
    "blocked": Person(
        customer(11, "Fatou Sow", "fatou@example.com", blocked=True),
        copy("Fatou Sow", "fatou@example.com"),
        plan=("needs_decision", "blocked_lost"),
        decision=("create", ""),
        end=("created", ""),
    ),
    "a number of another country": Person(
        customer(12, "Awa Ndiaye", "awa@example.com", "+221771234567"),
        copy("Awa Ndiaye", "awa@example.com", "+221771234567"),
    ),
    "first of two with a new address": Person(
        customer(13, "Same A", "same@example.com"), copy("Same A", "same@example.com")
    ),
    "second of two with a new address": Person(
        customer(14, "Same B", "same@example.com", "+2203000014"), copy("Same B", "same@example.com", "3000014")
    ),
    "without an address": Person(customer(15, "Ebrima Bah", phone="+2203000015"), copy("Ebrima Bah", phone="3000015")),
    "one match": Person(
        customer(20, "Mariama Bah", "mariama@example.com", "+2203000020"), plan=("linked", "matched_by_email")
    ),
    "first of two with the address of a record": Person(
        customer(21, "Two One", "two@example.com"),
        plan=("needs_decision", "shared_match"),
        wrong=("link", "unknown", "record_unknown"),
        decision=("create", ""),
        end=("created", ""),
        copy=copy("Two One", "two@example.com"),
    ),
    "second of two with the address of a record": Person(
        customer(22, "Two One", "two@example.com", "+2203000022"),
        plan=("needs_decision", "shared_match"),
        wrong=("link", "mariama", "record_already_linked"),
        decision=("link", "two"),
        end=("linked", "matched_by_decision"),
    ),
    "phone only": Person(
        customer(25, "Alieu Cham", phone="+2203000025"),
        plan=("needs_decision", "phone_only_match"),
        decision=("link", "alieu"),
        end=("linked", "matched_by_decision"),
    ),
    "another name": Person(
        customer(26, "Another Name", "contra@example.com"),
        copy("Another Name", "contra@example.com"),
        plan=("needs_decision", "contradicting_match"),
        decision=("create", ""),
        end=("created", ""),
    ),
    "several records": Person(
        customer(30, "Several", "several@example.com"),
        plan=("needs_decision", "several_matches"),
        decision=("link", "several-2"),
        end=("linked", "matched_by_decision"),
    ),
    "without a name": Person(
        customer(27, None, "nameless@example.com"), plan=("refused", "required_field_missing"), names="name"
    ),
}


def record(id, name, email=None, phone=None):
    return {"id": id, "name": name, "email": email, "phone": phone}


def changed(number):
    name = f"Jane Doe {number}"
    return f"plain {number}", {"name": name}, {"name": name}, {"name": name}


BLANK = {"balance": 0}
# The marker says which customer of which gateway a copy belongs to.
MARKER = {"passerelle_op": ANY}
EMPTY = dict.fromkeys(("metadata", "company_name", "address", "billing", "tax_number")) | {
    "metadata": {},
    "blocked": False,
}


def created(number, is_copied=False):
    name, email, phone = f"Kofi Mensah {number}", f"kofi{number}@example.com", f"31111{number:02d}"
    body = {"name": name, "email": email, "phone": f"+220{phone}"}
    here = {**EMPTY, **body} | ({"metadata": MARKER} if is_copied else {})
    return f"made {number}", body, here, {**BLANK, **copy(name, email, phone)}


PAIR = Pair(
    source="notchpay",
    target="modempay",
    settings='region = "GM"\non_loss = "carry"',
    people=PEOPLE,
    blank=BLANK,
    there={
        "mariama": record("mariama", "Mariama Bah", "mariama@example.com"),
        "two": record("two", "Two One", "two@example.com"),
        "alieu": record("alieu", "Alieu Cham", phone="3000025"),
        "name": record("name", "Some Body", "contra@example.com", "3000099"),
        "several 1": record("several-1", "Several", "several@example.com"),
        "several 2": record("several-2", "Several", "several@example.com"),
        "collision": record(id(3), "Only There", "only.there@example.com"),
    },
    linked={
        "mariama": "one match",
        "two": "second of two with the address of a record",
        "alieu": "phone only",
        "several 2": "several records",
    },
    filled={"one match": {"phone": "3000020"}, "second of two with the address of a record": {"phone": "3000022"}},
    shows={"one match": {"phone": "+2203099999"}},
    lost=set(),
    strangers={
        "collision": {**EMPTY, **copy("Only There", "only.there@example.com"), "metadata": MARKER},
        "several 1": {**EMPTY, **copy("Several", "several@example.com"), "metadata": MARKER},
        "name": {**EMPTY, **copy("Some Body", "contra@example.com", "+2203000099"), "metadata": MARKER},
    },
    forecast={"metadata": (10, 0, 0, 10, 0), "address.city": (10, 0, 0, 10, 0), "blocked": (1, 0, 0, 1, 0)},
    collision="plain 3",
    stuck={},
    changed_copy=("plain 1", {"name": "Changed"}, "name", {}),
    removed_copy="plain 2",
    changed_link=("one match", {"phone": "3099999"}, "phone"),
    # The target cannot hold it, so the gateway carries it.
    changed_home=("plain 1", {"metadata": {"user_id": "new"}}, {}, {"metadata": {"user_id": "new"}}),
    updates=[changed(4), changed(5), changed(6), changed(1)],
    creates=[created(1), created(2, is_copied=True), created(3), created(4)],
    deletes=["plain 7", "plain 8", "plain 9", "plain 10"],
)
