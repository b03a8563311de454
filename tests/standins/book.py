"""What the records of both stand-ins should be, and how that is compared with what they are."""

import time
from unittest import TestCase


class Comparison(TestCase):
    maxDiff = None


same = Comparison().assertEqual

# What the vendor chooses itself.
KEPT_BY_THE_VENDOR = {"id", "created_at", "updated_at", "createdAt", "updatedAt"}


class Book:
    """Every customer with its ids, its home, its values, and its record at both sides."""

    def __init__(self, pair, gateway, main, new):
        self.pair, self.gateway, self.main, self.new = pair, gateway, main, new
        # The id that the merchant knows, and the ids at both sides, by the name of the customer.
        self.ids = {name: person.record["id"] for name, person in pair.people.items()}
        self.source_ids, self.target_ids = dict(self.ids), {}
        # What the records should be at both sides.
        self.here, self.there, self.deleted = {}, {}, {}
        self.active, self.is_complete = "main", False

    def place_of(self, customer):
        """The connection that has answered, and its id for the customer."""
        return customer["provider"]["connection"], customer["provider"]["id"]

    def home(self, name):
        """Where a customer lives: with the active connection, if it has a record at both sides."""
        if name in self.there and (self.active == "new" or name not in self.here):
            return "new", self.target_ids[name]
        return "main", self.source_ids[name]

    def is_shown_in_lists(self, name):
        connection, _ = self.home(name)
        if self.is_complete and connection != self.active:
            return False
        return (self.here if connection == "main" else self.there)[name].get("listed", True)

    def follow(self, name, result):
        """Notes what a run has done at the target for a person with this outcome."""
        outcome, _ = result
        person = self.pair.people[name]
        if outcome == "created" and name not in self.there:
            self.there[name] = {**self.pair.blank, **person.copy}
        elif outcome == "linked" and name not in self.there:
            record = next(record for record, owner in self.pair.linked.items() if owner == name)
            self.there[name] = {**self.there.pop(record), **self.pair.filled.get(name, {})}
            self.target_ids[name] = self.target_ids.pop(record)

    def expect_state(self, state):
        same(self.gateway.status()["state"], state)

    def expect_results(self, when, rows=None):
        """Each customer has the outcome and the code that the document says."""
        names = {id: name for name, id in self.ids.items()}
        found = {
            names.get(id, id): (row["outcome"], row["code"])
            for id, row in (rows or self.gateway.file("results")).items()
        }
        expected = {name: getattr(person, when) for name, person in self.pair.people.items()}
        wrong = [
            f"{name}: is {found.get(name)}, and should be {expected.get(name)}"
            for name in found.keys() | expected.keys()
            if found.get(name) != expected.get(name)
        ]
        assert not wrong, "outcomes:\n  " + "\n  ".join(wrong)
        if not rows:
            waiting = {
                self.ids[n]
                for n, (outcome, _) in expected.items()
                if outcome in ("needs_decision", "refused", "in_doubt")
            }
            errors = self.gateway.file("errors")
            same(set(errors), waiting)
            named = {name: person.names for name, person in self.pair.people.items() if person.names}
            same({name: errors[self.ids[name]]["field"] for name in named}, named)
        self.count(expected)

    def count(self, expected):
        counts = {}
        for outcome, _ in expected.values():
            counts[outcome] = counts.get(outcome, 0) + 1
        records = self.gateway.status()["records"]
        same({name: count for name, count in records.items() if count and name != "total"}, counts)
        same(records["total"], len(expected))

    def expect_no_writes(self):
        same(self.main.writes() + self.new.writes(), [])
        self.compare()

    def compare(self):
        """Every record of both stand-ins is what it should be, and there are no others."""
        for side, account, expected, ids in (
            ("main", self.main, self.here, self.source_ids),
            ("new", self.new, self.there, self.target_ids),
        ):
            records = account.records()
            if any(name not in ids for name in expected):
                self.learn_ids()
            wrong = []
            for name, record in expected.items():
                found = records.pop(ids.get(name), {})
                for part in sorted((found.keys() | record.keys()) - KEPT_BY_THE_VENDOR):
                    is_there, should_be = found.get(part, "absent"), record.get(part, "absent")
                    if is_there != should_be:
                        wrong.append(f"{name}: {part} is {is_there!r}, and should be {should_be!r}")
            wrong += [f"no customer owns {record}" for record in records.values()]
            assert not wrong, f"records at {side}:\n  " + "\n  ".join(wrong)

    def learn_ids(self):
        names = {id: name for name, id in self.ids.items()}
        for row in self.gateway.file("map").values():
            for ids, column in ((self.source_ids, "source_id"), (self.target_ids, "target_id")):
                if row[column] and row["public_id"] in names:
                    ids[names[row["public_id"]]] = row[column]

    def open_codes(self):
        """The codes that close the gate until they are accepted."""
        ends = {person.end for person in self.pair.people.values()}
        return sorted({code or outcome for outcome, code in ends if outcome in ("refused", "in_doubt")})

    def decide_with(self, decisions, exits=0):
        rows = ["public_id,decision,link_id"]
        rows += [",".join([self.ids[name], *words]) for name, *words in decisions]
        (self.gateway.folder / "decided.csv").write_text("\n".join(rows) + "\n")
        return self.gateway.switch("decide", "shop", "decided.csv", exits=exits)

    def run_again(self):
        self.gateway.switch("run", "shop", exits=1 if self.open_codes() else 0)

    def flip(self, command):
        accepted = [word for code in self.open_codes() for word in ("--accept", code)]
        self.gateway.switch(command, "shop", "--yes", *(accepted if command == "cutover" else []))
        self.active = "new" if command == "cutover" else "main"

    def write(self, home, turn):
        """The merchant's code changes a customer, makes one and deletes one. Each reaches both sides."""
        name, body, here, there = self.pair.updates[turn]
        answer = self.ask("PATCH", f"/v1/customers/{self.ids[name]}", body)
        same((answer["id"], answer["provider"]["connection"]), (self.ids[name], home), answer)
        self.here[name] |= here
        self.there[name] |= there
        self.values[name] |= body
        name, body, here, there = self.pair.creates[turn]
        answer = self.ask("POST", "/v1/customers", body, status=201)
        same(answer["provider"]["connection"], home, answer)
        self.ids[name], self.here[name], self.there[name] = answer["id"], here, there
        self.values[name] = values_of(answer)
        (self.source_ids if home == "main" else self.target_ids)[name] = answer["provider"]["id"]
        self.delete(self.pair.deletes[turn])
        self.settle()
        self.eventually(self.compare)
        same(self.gateway.file("results")[self.deleted[self.pair.deletes[turn]]]["outcome"], "deleted")

    def delete(self, name):
        id = self.ids.pop(name)
        answer = self.ask("DELETE", f"/v1/customers/{id}")
        same({receipt["connection"] for receipt in answer["receipts"]}, {"main", "new"}, answer)
        self.ask("GET", f"/v1/customers/{id}", status=404)
        self.deleted[name] = id
        for known in (self.here, self.there, self.source_ids, self.target_ids):
            known.pop(name)

    def ask(self, method, path, body=None, status=200):
        """A request of the merchant's code, and its answer."""
        answered, answer = self.gateway.client(method, path, body)
        same(answered, status, f"{method} {path}: {answer}")
        return answer

    def settle(self):
        self.until("the copies", lambda status: not status["marks"]["pending"] and not status["records"]["pending"])

    def eventually(self, check):
        """Repeats a check that fails while the gateway still works in the background."""
        for _ in range(100):
            try:
                return check()
            except AssertionError:
                time.sleep(0.1)
        return check()

    def until(self, what, holds):
        for _ in range(100):
            status = self.gateway.status()
            if holds(status):
                return
            time.sleep(0.1)
        raise AssertionError(f"waited for {what} in vain: {status}")


def values_of(customer):
    """What a customer is for the merchant. Times are the vendors', and parts of a name follow from the name."""
    fields = ("name", "email", "phone", "whatsapp", "address", "metadata", "balance", "blocked")
    # Where a vendor has no balances, or does not block, `null` is what is 0 or false at another one.
    return {name: None if customer.get(name) in (False, "0", {}) else customer.get(name) for name in fields}
