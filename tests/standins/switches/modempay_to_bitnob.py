"""Modem Pay to Bitnob: two customers exchange their addresses, which Bitnob keeps unique; others delete one."""

from book import same
from switch import Pair, Person


def id(number):
    return f"00000000-0000-4000-8000-{number:012d}"


def customer(number, name, email=None, phone=None):
    return {"id": number and id(number), "name": name, "email": email, "phone": phone}


def copy(first, last, email, phone=""):
    return {
        "first_name": first,
        "last_name": last,
        "email": email,
        "phone": phone,
        "country_code": "+220" if phone else "",
    }


def plain(number):
    phone = f"70000{number:02d}"
    source = customer(number, f"Caleb Okpara{number}", f"caleb{number}@example.com", phone)
    return Person(source, copy("Caleb", f"Okpara{number}", f"caleb{number}@example.com", phone))


PEOPLE = {f"plain {number}": plain(number) for number in range(1, 11)} | {
    "first of an exchange": Person(customer(11, "Awa Njie", "awa@example.com"), copy("Awa", "Njie", "awa@example.com")),
    "second of an exchange": Person(
        customer(12, "Binta Njie", "binta@example.com"), copy("Binta", "Njie", "binta@example.com")
    ),
    "deleted by others": Person(
        customer(13, "Gone Soon", "gone@example.com"), copy("Gone", "Soon", "gone@example.com")
    ),
    "one match": Person(
        customer(20, "Lamin Sowe", "lamin@example.com", "7000020"), plan=("linked", "matched_by_email")
    ),
    "two matches": Person(
        customer(21, "Two Records", "one@example.com", "7000021"),
        plan=("needs_decision", "contradicting_match"),
        wrong=("link", id(920), "record_already_linked"),
        decision=("leave", ""),
        end=("left", "record_already_linked"),
    ),
    "without an address": Person(
        customer(22, "No Address", phone="7000022"), plan=("refused", "required_field_missing"), names="email"
    ),
}


def record(number, first, last, email, phone=""):
    return {"id": id(number), **copy(first, last, email, phone)}


def exchange(story):
    """Each of two customers gets the address of the other one. The document says how that ends."""
    first, second = story.ids["first of an exchange"], story.ids["second of an exchange"]
    story.ask("PATCH", f"/v1/customers/{first}", {"email": "binta@example.com"})
    story.ask("PATCH", f"/v1/customers/{second}", {"email": "awa@example.com"})
    story.here["first of an exchange"]["email"] = "binta@example.com"
    story.here["second of an exchange"]["email"] = "awa@example.com"
    story.until("the circle", lambda status: status["records"]["needs_decision"] == 2)
    errors = story.gateway.file("errors")
    same({errors[id]["code"] for id in (first, second)}, {"unique_cycle"})
    assert "unique_cycle" in story.gateway.switch("cutover", "shop", "--yes", exits=1)
    story.compare()
    # "Give one of them another value, wait for its copy, and then the final value." A pass tries who was written since.
    story.ask("PATCH", f"/v1/customers/{first}", {"email": "between@example.com"})
    story.run_again()
    story.until("the first one", lambda status: status["records"]["needs_decision"] < 2)
    story.run_again()
    story.until("the second one", lambda status: status["records"]["needs_decision"] == 0)
    story.ask("PATCH", f"/v1/customers/{first}", {"email": "binta@example.com"})
    story.settle()
    for name, email in (("first of an exchange", "binta@example.com"), ("second of an exchange", "awa@example.com")):
        story.there[name]["email"] = email
        story.values[name]["email"] = email
    story.eventually(story.compare)


def gone(story):
    """Others delete a customer at its home: nothing is deleted at the other side, and the operator decides."""
    name = "deleted by others"
    story.main.remove(story.source_ids[name])
    story.run_again()
    story.until("the pass", lambda status: status["records"]["gone"] == 1)
    same(story.gateway.file("results")[story.ids[name]]["code"], "customer_gone")
    story.ask("GET", f"/v1/customers/{story.ids[name]}", status=404)
    story.here.pop(name)
    story.compare()
    story.decide_with([(name, "leave", "")])
    same(story.gateway.file("results")[story.ids[name]]["outcome"], "left")
    story.deleted[name] = story.ids.pop(name)


def also(story):
    exchange(story)
    gone(story)


def changed(number):
    there = {"first_name": "Isatou", "last_name": f"Bah{number}", "phone": f"+22070000{number:02d}"}
    return f"plain {number}", {"name": f"Isatou Bah{number}"}, {"name": f"Isatou Bah{number}"}, there


BLANK = {"blacklist": False, "customer_type": "individual"}


def created(number):
    name, email, phone = f"Kofi Mensah{number}", f"kofi{number}@example.com", f"71111{number:02d}"
    here = {"name": name, "email": email, "phone": phone, "balance": 0}
    body = {"name": name, "email": email, "phone": f"+220{phone}"}
    return f"made {number}", body, here, {**BLANK, **copy("Kofi", f"Mensah{number}", email, phone)}


PAIR = Pair(
    source="modempay",
    target="bitnob",
    settings='region = "GM"\non_loss = "drop"',
    people=PEOPLE,
    blank=BLANK,
    there={
        "lamin": record(920, "Lamin", "Sowe", "lamin@example.com"),
        "two": record(921, "Some", "Body", "one@example.com", "7000021"),
        "collision": record(3, "Only", "There", "only.there@example.com"),
    },
    linked={"lamin": "one match"},
    filled={"one match": {"phone": "+2207000020"}},
    shows={"one match": {"phone": "+2207009999"}},
    strangers={
        "collision": {**customer(None, "Only There", "only.there@example.com"), "balance": 0},
        "two": {**customer(None, "Some Body", "one@example.com", "7000021"), "balance": 0},
    },
    collision="plain 3",
    stuck={},
    changed_copy=("plain 1", {"last_name": "Changed"}, "name", {"phone": "+2207000001"}),
    removed_copy="plain 2",
    changed_link=("one match", {"phone": "7009999", "country_code": "+220"}, "phone"),
    also=also,
    changed_home=("plain 1", {"name": "Caleb Jobe"}, {"last_name": "Jobe"}, {"name": "Caleb Jobe"}),
    updates=[changed(4), changed(5), changed(6), changed(1)],
    creates=[created(1), created(2), created(3), created(4)],
    deletes=["plain 7", "plain 8", "plain 9", "plain 10"],
)
