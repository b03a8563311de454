"""lomi. to Bitnob: a list that shows a part of the customers, a name that is split, and addresses that are unique."""

from switch import Pair, Person


def id(number):
    return f"00000000-0000-4000-8000-{number:012d}"


def customer(number, name, email=None, **fields):
    return {"id": id(number), "name": name, "email": email, **fields}


def plain(number):
    given = {"phone_number": f"+2217700000{number:02d}", "city": "Dakar", "country": "Senegal", "address": "Rue 1"}
    copy = {"first_name": "Amadou Ba", "last_name": f"N{number}", "email": f"amadou{number}@example.com"}
    copy |= {"phone": f"7700000{number:02d}", "country_code": "+221"}
    return Person(customer(number, f"Amadou Ba N{number}", f"amadou{number}@example.com", **given), copy)


PEOPLE = {f"plain {number}": plain(number) for number in range(1, 11)} | {
    "not in the list": Person(
        customer(11, "Awa Diop", "awa@example.com", listed=False),
        {"first_name": "Awa", "last_name": "Diop", "email": "awa@example.com"},
    ),
    "without a name": Person(customer(12, "", "nameless@example.com"), {"email": "nameless@example.com"}),
    "one match": Person(
        customer(20, "Khady Sarr", "khady@example.com", phone_number="+221770000020"),
        plan=("linked", "matched_by_email"),
    ),
    "first of two with the address of a record": Person(
        customer(21, "Two One", "two@example.com", phone_number="+221770000021"),
        plan=("needs_decision", "shared_match"),
        wrong=("link", id(999), "record_unknown"),
        decision=("link", id(921)),
        end=("linked", "matched_by_decision"),
    ),
    "second of two with the address of a record": Person(
        customer(22, "Two Two", "two@example.com", phone_number="+221770000022"),
        plan=("needs_decision", "shared_match"),
        wrong=("link", id(920), "record_already_linked"),
        decision=("leave", ""),
        end=("left", "record_already_linked"),
    ),
    "first of two with a new address": Person(
        customer(23, "Same A", "same@example.com", phone_number="+221770000023"),
        {
            "first_name": "Same",
            "last_name": "A",
            "email": "same@example.com",
            "phone": "770000023",
            "country_code": "+221",
        },
        plan=("needs_decision", "unique_value_taken"),
        decision=("create", ""),
        end=("created", ""),
    ),
    "second of two with a new address": Person(
        customer(24, "Same B", "same@example.com", phone_number="+221770000024"),
        plan=("needs_decision", "unique_value_taken"),
        decision=("leave", ""),
        end=("left", "unique_value_taken"),
    ),
    "another address": Person(
        customer(25, "Phone Only", "phone.only@example.com", phone_number="+221770000025"),
        plan=("needs_decision", "contradicting_match"),
        decision=("link", id(925)),
        end=("linked", "matched_by_decision"),
    ),
    "another name": Person(
        customer(26, "Another Name", "contra@example.com", phone_number="+221770000026"),
        plan=("needs_decision", "contradicting_match"),
        decision=("link", id(926)),
        end=("linked", "matched_by_decision"),
    ),
    "several records": Person(
        customer(30, "Several", "several@example.com", phone_number="+221770000030"),
        plan=("needs_decision", "several_matches"),
        decision=("link", id(930)),
        end=("linked", "matched_by_decision"),
    ),
    "without an address": Person(
        customer(27, "No Mail", phone_number="+221770000027"), plan=("refused", "required_field_missing"), names="email"
    ),
    "address of another business's customer": Person(
        customer(29, "Shared", "shared@example.com"),
        plan=("created", ""),
        run=("refused", "vendor_record_shared"),
    ),
}


def record(number, first, last, email, phone="", dial=""):
    return {
        "id": id(number),
        "first_name": first,
        "last_name": last,
        "email": email,
        "phone": phone,
        "country_code": dial,
    }


def changed(number):
    """A new name. An update sends all four fields that Bitnob documents for it, the phone number with its country."""
    there = {"first_name": "Amadou", "last_name": f"Sy{number}", "phone": f"+2217700000{number:02d}"}
    return f"plain {number}", {"name": f"Amadou Sy{number}"}, {"name": f"Amadou Sy{number}"}, there


def stored(name, email, phone=""):
    """lomi stores an empty text for what a request lacks, and lists no customer without a transaction."""
    empty = dict.fromkeys(("whatsapp_number", "country", "city", "address", "postal_code"), "")
    empty |= {"is_business": False, "metadata": None, "listed": False}
    return {**empty, "name": name, "email": email, "phone_number": phone}


def created(number):
    name, email = f"John Doe{number}", f"john{number}@example.com"
    here = stored(name, email, f"+2217711111{number:02d}")
    there = {"first_name": "John", "last_name": f"Doe{number}", "email": email}
    there |= {
        "phone": f"7711111{number:02d}",
        "country_code": "+221",
        "blacklist": False,
        "customer_type": "individual",
    }
    return f"made {number}", {"name": name, "email": email, "phone": here["phone_number"]}, here, there


PAIR = Pair(
    source="lomi",
    target="bitnob",
    settings='region = "SN"\non_loss = "carry"',
    people=PEOPLE,
    blank={"first_name": "", "last_name": "", "phone": "", "country_code": "", "blacklist": False}
    | {"customer_type": "individual"},
    there={
        "khady": record(920, "Khady", "Sarr", "khady@example.com"),
        "two": record(921, "Two", "One", "two@example.com"),
        "phone": record(925, "Phone", "Only", "other@example.com", "770000025", "+221"),
        "name": record(926, "Some", "Body", "contra@example.com", "770000099", "+221"),
        "several 1": record(930, "Several", "", "s1@example.com", "770000030", "+221"),
        "several 2": record(931, "Several", "", "s2@example.com", "770000030", "+221"),
        "collision": record(3, "Only", "There", "only.there@example.com"),
    },
    linked={
        "khady": "one match",
        "two": "first of two with the address of a record",
        "phone": "another address",
        "name": "another name",
        "several 1": "several records",
    },
    filled={
        "one match": {"phone": "+221770000020"},
        "first of two with the address of a record": {"phone": "+221770000021"},
    },
    shows={
        "one match": {"phone": "+221771112222"},
        "another address": {"name": "Phone Only", "email": "other@example.com"},
        "another name": {"name": "Some Body", "phone": "+221770000099"},
        "several records": {"email": "s1@example.com"},
    },
    strangers={
        "collision": stored("Only There", "only.there@example.com"),
        "several 2": stored("Several", "s2@example.com", "+221770000030"),
    },
    forecast={"address.city": (10, 0, 0, 10, 0), "name": (21, 0, 21, 0, 0)},
    collision="plain 3",
    stuck={},
    # An update sends the phone number in international form, as it is documented for updates.
    changed_copy=("plain 1", {"last_name": "Changed"}, "name", {"phone": "+221770000001"}),
    removed_copy="plain 2",
    changed_link=("one match", {"phone": "771112222", "country_code": "+221"}, "phone"),
    elsewhere=[record(929, "Not", "Ours", "shared@example.com")],
    changed_home=(
        "not in the list",
        {"phone_number": "+221770000011"},
        {"phone": "+221770000011"},
        {"phone": "+221770000011"},
    ),
    updates=[changed(4), changed(5), changed(6), changed(1)],
    creates=[created(1), created(2), created(3), created(4)],
    deletes=["plain 7", "plain 8", "plain 9", "plain 10"],
)
