"""Modem Pay to lomi.: national numbers become international ones, and the target's list shows no new customer."""

from switch import Pair, Person


def id(number):
    return f"00000000-0000-4000-8000-{number:012d}"


def customer(number, name, email=None, phone=None, balance=0):
    return {"id": number and id(number), "name": name, "email": email, "phone": phone, "balance": balance}


def copy(name, email="", phone=""):
    """lomi stores an empty text for what a request lacks, and lists no customer without a transaction."""
    return {"name": name, "email": email, "phone_number": phone, "listed": False}


def plain(number):
    name, email, phone = f"Caleb Okpara {number}", f"caleb{number}@example.com", f"70000{number:02d}"
    return Person(customer(number, name, email, phone), copy(name, email, f"+220{phone}"))


PEOPLE = {f"plain {number}": plain(number) for number in range(1, 11)} | {
    "with a balance": Person(
        customer(11, "Lamin Ceesay", "lamin@example.com", balance=25), copy("Lamin Ceesay", "lamin@example.com")
    ),
    "never answered about": Person(
        customer(16, "Jainaba Faye", "jainaba@example.com"),
        plan=("created", ""),
        run=("in_doubt", ""),
        decision=("link", "never answered"),
        end=("linked", "matched_by_decision"),
    ),
    "without an address": Person(
        customer(12, "Fatou Jallow", phone="7000012"), copy("Fatou Jallow", phone="+2207000012")
    ),
    "first of two with a new address": Person(
        customer(13, "Same A", "same@example.com", "7000013"), copy("Same A", "same@example.com", "+2207000013")
    ),
    "second of two with a new address": Person(
        customer(14, "Same B", "same@example.com", "7000014"), copy("Same B", "same@example.com", "+2207000014")
    ),
    "one match": Person(
        customer(20, "Binta Sowe", "binta@example.com", "7000020"), plan=("linked", "matched_by_email")
    ),
    "first of two with the address of a record": Person(
        customer(21, "Two One", "two@example.com"),
        plan=("needs_decision", "shared_match"),
        wrong=("link", id(999), "record_unknown"),
        decision=("link", id(921)),
        end=("linked", "matched_by_decision"),
    ),
    "second of two with the address of a record": Person(
        customer(22, "Two One", "two@example.com", "7000022"),
        copy("Two One", "two@example.com", "+2207000022"),
        plan=("needs_decision", "shared_match"),
        wrong=("link", id(920), "record_already_linked"),
        decision=("create", ""),
        end=("created", ""),
    ),
    "phone only": Person(
        customer(25, "Musa Touray", phone="7000025"),
        copy("Musa Touray", phone="+2207000025"),
        plan=("needs_decision", "phone_only_match"),
        decision=("create", ""),
        end=("created", ""),
    ),
    "another name": Person(
        customer(26, "Another Name", "contra@example.com", "7000026"),
        plan=("needs_decision", "contradicting_match"),
        decision=("link", id(926)),
        end=("linked", "matched_by_decision"),
    ),
    "several records": Person(
        customer(30, "Several", "several@example.com"),
        plan=("needs_decision", "several_matches"),
        decision=("leave", ""),
        end=("left", "several_matches"),
    ),
    "without a name": Person(
        customer(27, None, "nameless@example.com"), plan=("refused", "required_field_missing"), names="name"
    ),
    "an address that is none": Person(
        customer(28, "No Address", "not-an-address"), run=("refused", "provider_refused"), names="email"
    ),
}


def record(number, name, email=None, phone=None):
    return {"id": id(number), "name": name, "email": email, "phone_number": phone}


def changed(number):
    return (
        f"plain {number}",
        {"name": f"Caleb Sanyang {number}"},
        {"name": f"Caleb Sanyang {number}"},
        {"name": f"Caleb Sanyang {number}"},
    )


BLANK = dict.fromkeys(("whatsapp_number", "country", "city", "address", "postal_code"), "")
BLANK |= {"is_business": False, "metadata": None}


def created(number):
    name, email, phone = f"Isatou Njie {number}", f"isatou{number}@example.com", f"71111{number:02d}"
    here = {"name": name, "email": email, "phone": phone, "balance": 0}
    body = {"name": name, "email": email, "phone": f"+220{phone}"}
    return f"made {number}", body, here, {**BLANK, **copy(name, email, f"+220{phone}")}


PAIR = Pair(
    source="modempay",
    target="lomi",
    settings='region = "GM"\non_loss = "drop"',
    people=PEOPLE,
    blank=BLANK,
    there={
        "binta": record(920, "Binta Sowe", "binta@example.com"),
        "two": record(921, "Two One", "two@example.com"),
        "phone": record(925, "Musa Touray", phone="+2207000025"),
        "name": record(926, "Some Body", "contra@example.com", "+2207000099"),
        "several 1": record(930, "Several", "several@example.com"),
        "several 2": record(931, "Several", "several@example.com"),
        "collision": record(3, "Only There", "only.there@example.com"),
    },
    linked={
        "binta": "one match",
        "two": "first of two with the address of a record",
        "name": "another name",
        "never answered": "never answered about",
    },
    filled={"one match": {"phone_number": "+2207000020"}},
    shows={"one match": {"phone": "+2207009999"}, "another name": {"name": "Some Body", "phone": "+2207000099"}},
    lost={"balance"},
    in_doubt="never answered about",
    strangers={
        "collision": customer(None, "Only There", "only.there@example.com"),
        "phone": customer(None, "Musa Touray", phone="7000025"),
        "several 1": customer(None, "Several", "several@example.com"),
        "several 2": customer(None, "Several", "several@example.com"),
    },
    forecast={"balance": (1, 0, 0, 0, 1), "email": (21, 21, 0, 0, 0)},
    collision="plain 3",
    stuck={},
    changed_copy=("plain 1", {"name": "Changed"}, "name", {}),
    removed_copy="plain 2",
    changed_link=("one match", {"phone_number": "+2207009999"}, "phone"),
    changed_home=("plain 1", {"phone": "7999901"}, {"phone_number": "+2207999901"}, {"phone": "+2207999901"}),
    updates=[changed(4), changed(5), changed(6), changed(1)],
    creates=[created(1), created(2), created(3), created(4)],
    deletes=["plain 7", "plain 8", "plain 9", "plain 10"],
)
