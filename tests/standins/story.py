"""One switch between two stand-ins, as `docs/switching.md` tells an operator to do it, by the commands alone.

After each step the story compares the records of both stand-ins, field by field, with what they should be.
"""

import stat

from book import Book, same, values_of
from gateway import rows_of


class Story(Book):
    """The steps, in the order of the document."""

    def tell(self):
        for step in (
            self.plant,
            self.plan,
            self.dry_run,
            self.first_three,
            self.run,
            self.decide_wrongly,
            self.decide,
            self.verify,
            self.foreign_writes,
            self.change_at_the_home,
            self.writes_before_the_cutover,
            self.cutover,
            self.strangers,
            self.reads,
            self.writes_after_the_cutover,
            self.rollback,
            self.cutover_again,
            self.files,
            self.complete,
        ):
            self.take(step)

    def tell_undo(self):
        """A switch that is given up before its cutover."""
        for step in (self.plant, self.plan, self.run, self.undo):
            self.take(step)

    def take(self, step):
        try:
            step()
        except AssertionError as error:
            raise AssertionError(f"{step.__name__}: {error}\nthe records of the switch: {self.counted()}") from error

    def counted(self):
        """How many records of the switch have each outcome, or why that cannot be read."""
        try:
            return self.gateway.status()["records"]
        except (AssertionError, OSError, ValueError, LookupError) as error:
            return f"not known: {error}"

    # The steps.

    def plant(self):
        people = self.pair.people
        for name, record in zip(people, self.main.plant([person.record for person in people.values()]), strict=True):
            self.here[name] = record
        for name, record in zip(self.pair.there, self.new.plant(list(self.pair.there.values())), strict=True):
            self.there[name], self.target_ids[name] = record, record["id"]
        self.compare()
        self.values = {name: values_of(self.ask("GET", f"/v1/customers/{id}")) for name, id in self.ids.items()}

    def plan(self):
        words = ["plan", "shop", "--to", "new", "--out", "plan"]
        if self.pair.source == "lomi":
            # The list of lomi does not show everybody, which the plan says first. Then the merchant's own list says who
            # there is, and the new plan replaces the other one.
            text = self.gateway.switch("plan", "shop", "--to", "new", exits=1)
            assert text.splitlines()[1].startswith("source_lists_partly"), text
            (self.gateway.folder / "customers.csv").write_text("\n".join(["id", *self.ids.values()]) + "\n")
            words += ["--from-file", "customers.csv"]
        self.gateway.switch(*words, exits=1)
        self.expect_state("planned")
        folder = self.gateway.folder / "plan"
        self.expect_results("plan", rows_of(folder / "results.csv"))
        undecided = {self.ids[name] for name, person in self.pair.people.items() if person.plan[0] == "needs_decision"}
        same(set(rows_of(folder / "decisions.csv")), undecided)
        counted = {entry["field"]: entry for entry in self.gateway.status()["forecast"]}
        for name, counts in self.pair.forecast.items():
            entry = counted.get(name, {})
            found = tuple(entry.get(count, 0) for count in ("held", "kept", "transformed", "carried", "lost"))
            same(found, counts, f"the forecast of {name}")
        for file in folder.iterdir():
            same(stat.S_IMODE(file.stat().st_mode), 0o600, f"the mode of {file.name}")
        self.expect_no_writes()

    def dry_run(self):
        text = self.gateway.switch("run", "shop", "--dry-run")
        assert "nothing was changed" in text, text
        self.expect_state("planned")
        self.expect_no_writes()

    def first_three(self):
        """`--first 3` copies three customers, to look at them before the others."""
        self.gateway.switch("run", "shop", "--first", "3", exits=1)
        self.expect_state("copying")
        status = self.gateway.status()
        same((status["records"]["created"], status["blocked_by"]["code"]), (3, "stopped"))
        same(status["records"]["pending"], len(self.ids) - 3)
        same(len(self.new.records()), len(self.pair.there) + 3)

    def run(self):
        # The vendor makes these customers, and its answer never comes.
        doubtful = self.pair.in_doubt
        if doubtful:
            self.new.lose(1, self.here[doubtful]["email"])
        else:
            self.new.lose(3)
        self.gateway.switch("run", "shop", exits=1)
        expected = 1 if doubtful else 0
        self.until("the lost answers", lambda status: status["records"]["in_doubt"] == expected)
        if doubtful:
            [made] = [one for one in self.new.records().values() if one["email"] == self.here[doubtful]["email"]]
            self.there["never answered"], self.target_ids["never answered"] = made, made["id"]
        self.expect_state("copied")
        self.expect_results("run")
        for name, person in self.pair.people.items():
            self.follow(name, person.run)
        self.compare()

    def decide_wrongly(self):
        """A file with a mistake changes nothing. A decision that cannot be followed is refused with its code."""
        text = self.decide_with([(next(iter(self.ids)), "maybe", "")], exits=1)
        assert "line 2" in text, text
        wrong = {name: person.wrong for name, person in self.pair.people.items() if person.wrong}
        self.decide_with([(name, *decision) for name, (*decision, _) in wrong.items()])
        self.gateway.switch("run", "shop", exits=1)
        errors = self.gateway.file("errors")
        for name, (*_, code) in wrong.items():
            row = errors[self.ids[name]]
            same((row["outcome"], row["code"]), ("refused", code), f"the wrong decision about {name}")
        self.compare()

    def decide(self):
        people = self.pair.people
        decisions = {name: person.decision for name, person in people.items() if person.decision}
        # The vendor has chosen the id of the record that it made without an answer.
        ids = {"never answered": self.target_ids.get("never answered")}
        self.decide_with([(name, kind, ids.get(id, id)) for name, (kind, id) in decisions.items()])
        codes = self.open_codes()
        self.gateway.switch("run", "shop", exits=1 if codes else 0)
        self.settle()
        self.expect_results("end")
        for name, person in people.items():
            self.follow(name, person.end)
        self.compare()

    def verify(self):
        self.gateway.switch("verify", "shop")
        verified = self.gateway.status()["verified"]
        copied = [name for name in self.pair.people if name in self.there]
        # The records that only the target has are counted as well.
        same(verified["checked"] - (verified["extra"] or 0), len(copied))
        same(verified["equal"] + verified["equal_after_rule"], len(copied))
        self.compare()

    def foreign_writes(self):
        """Others change a copy, change a linked record and delete a copy, between `run` and `verify`."""
        copied, change, changed, restored = self.pair.changed_copy
        linked, edit, edited = self.pair.changed_link
        removed = self.pair.removed_copy
        self.new.change(self.target_ids[copied], change)
        self.new.remove(self.target_ids[removed])
        self.new.change(self.target_ids[linked], edit)
        self.gateway.switch("verify", "shop", exits=1)
        results = self.gateway.file("results")
        same(results[self.ids[copied]]["differing_fields"], changed)
        same(results[self.ids[linked]]["differing_fields"], edited)
        verified = self.gateway.status()["verified"]
        same((verified["differs"], verified["missing"]), (2, 1))
        text = self.gateway.switch("cutover", "shop", "--yes", exits=1)
        assert "verify_differs" in text, text
        # A repair restores what the switch has made. What it has linked stays as others have left it.
        self.gateway.switch("verify", "shop", "--repair", exits=1)
        verified = self.gateway.status()["verified"]
        same((verified["differs"], verified["missing"]), (1, 0))
        before = self.target_ids.pop(removed)
        self.there[copied] |= restored
        self.there[linked] |= edit
        self.compare()
        assert self.target_ids[removed] != before
        # The next pass asks for a decision about the linked record.
        self.run_again()
        self.until("a conflict", lambda status: status["records"]["needs_decision"] == 1)
        row = self.gateway.file("errors")[self.ids[linked]]
        same((row["outcome"], row["code"], row["field"]), ("needs_decision", "field_conflict", edited))
        self.decide_with([(linked, "link", self.target_ids[linked])])
        self.run_again()
        self.settle()
        self.gateway.switch("verify", "shop")
        self.compare()

    def change_at_the_home(self):
        """Others change a customer at its home, outside the gateway: the next pass copies that."""
        name, here, there, values = self.pair.changed_home
        self.main.change(self.source_ids[name], here)
        self.here[name] |= here
        self.there[name] |= there
        self.values[name] |= values
        self.run_again()
        self.eventually(self.compare)

    def writes_before_the_cutover(self):
        self.write("main", 0)
        if self.pair.also:
            self.pair.also(self)
        self.gateway.switch("verify", "shop")

    def cutover(self):
        codes = self.open_codes()
        steps = self.gateway.switch("cutover", "shop", "--dry-run", exits=1 if codes else 0)
        assert "flip" in steps, steps
        if codes:
            text = self.gateway.switch("cutover", "shop", "--yes", exits=1)
            for code in codes:
                assert f"--accept {code}" in text, text
        self.flip("cutover")
        self.expect_state("switched")
        self.settle()
        self.compare()

    def reads(self):
        """Every id answers at its home, by retrieve and by list, and in the list everybody is once."""
        same(self.ask("GET", "/v1/merchant")["connection"], self.active)
        for name, id in self.ids.items():
            customer = self.ask("GET", f"/v1/customers/{id}")
            same((customer["id"], self.place_of(customer)), (id, self.home(name)), f"the answer about {name}")
            values = self.values[name]
            if self.home(name)[0] == "new":
                values = {**values, **dict.fromkeys(self.pair.lost), **self.pair.shows.get(name, {})}
            same(values_of(customer), values, f"the values of {name}")
        listed, cursor = [], ""
        while cursor is not None:
            page = self.ask("GET", f"/v1/customers?limit=7{cursor}")
            listed += page["data"]
            cursor = f"&cursor={page['next_cursor']}" if page["next_cursor"] else None
        names = {id: name for name, id in self.ids.items()}
        found = [names.get(customer["id"], str(customer)) for customer in listed]
        same(len(found), len(set(found)), f"how often each customer is in the list {found}")
        shown = {name for name in self.ids if self.is_shown_in_lists(name)}
        # Shortly after its copy, a customer that its home's list leaves out is in the list of the other side.
        left_out = {name for name in found if name in self.here and name in self.there} - shown
        same(set(found) - left_out, shown, "who is in the list")

    def strangers(self):
        """The customers that only the target knew are the merchant's now: the next pass copies them to the source.

        One of them has the id of a customer of the source there, so that the merchant knows it by another id. Those
        that the source cannot store stay at the target.
        """
        strangers = [*self.pair.strangers, *self.pair.stuck]
        self.gateway.switch("run", "shop", exits=1 if self.open_codes() else 0)
        total = len(self.ids) + len(self.deleted) + len(strangers)
        self.until("the pass", lambda status: status["records"]["total"] == total)
        self.settle()
        # On a slow machine, an answer may come too late: the gateway looks such a copy up again.
        self.until("the late answers", lambda status: not status["records"]["in_doubt"])
        names = {self.target_ids[name]: name for name in strangers}
        for id, row in self.gateway.file("map").items():
            if row["target_id"] in names:
                name = names[row["target_id"]]
                self.ids[name], self.values[name] = id, values_of(self.ask("GET", f"/v1/customers/{id}"))
                if name not in self.pair.stuck:
                    self.source_ids[name], self.here[name] = row["source_id"], self.pair.strangers[name]
        self.eventually(self.compare)
        errors = self.gateway.file("errors")
        same({name: errors[self.ids[name]]["code"] for name in self.pair.stuck}, self.pair.stuck)
        if self.pair.stuck:
            self.decide_with([(name, "leave", "") for name in self.pair.stuck])
        stranger = next(iter(self.pair.strangers))
        same(self.target_ids[stranger], self.ids[self.pair.collision])
        assert self.ids[stranger] != self.target_ids[stranger]

    def writes_after_the_cutover(self):
        self.write("new", 1)

    def rollback(self):
        self.flip("rollback")
        self.expect_state("copied")
        # A customer whose last write was not copied yet stays where it is until then.
        self.settle()
        self.eventually(self.reads)
        self.write("main", 2)
        self.gateway.switch("verify", "shop")
        self.compare()

    def cutover_again(self):
        self.flip("cutover")
        self.settle()
        self.eventually(self.reads)

    def files(self):
        """The files name every customer with its ids. They are for the operator alone, and replace no other file."""
        rows = self.gateway.file("map")
        for name, id in self.ids.items():
            row = rows[id]
            ids = self.source_ids.get(name, ""), self.target_ids.get(name, "")
            same((row["source_id"], row["target_id"], row["home"]), (*ids, self.home(name)[0]), f"the ids of {name}")
        assert set(self.ids.values()) <= set(self.gateway.file("results"))
        self.gateway.switch("map", "shop", "--format", "stripe", "--out", "stripe.csv")
        both = {self.source_ids[name]: self.target_ids[name] for name in self.here.keys() & self.there.keys()}
        pairs = {id: row["stripe_customer_id"] for id, row in rows_of(self.gateway.folder / "stripe.csv").items()}
        same({id: pairs.get(id) for id in both}, both)
        self.gateway.switch("report", "shop", "--out", "report.html")
        report = self.gateway.folder / "report.html"
        assert "<svg" in report.read_text() and "<script" not in report.read_text()
        same(stat.S_IMODE(report.stat().st_mode), 0o600)
        self.gateway.switch("report", "shop", "--out", "report.html", exits=1)

    def complete(self):
        staying = [name for name in self.ids if name not in self.there]
        text = self.gateway.switch("complete", "shop", "--yes", exits=1)
        assert "file_differs" in text and ("pinned" in text) == bool(staying), text
        self.expect_state("switched")
        self.gateway.reload("new")
        codes = [*self.open_codes(), *(["pinned"] if staying else [])]
        self.gateway.switch("complete", "shop", "--yes", *[word for code in codes for word in ("--accept", code)])
        self.expect_state("completed")
        self.is_complete = True
        self.reads()
        # From now on, a write reaches its home alone.
        name, body, _, there = self.pair.updates[3]
        answer = self.ask("PATCH", f"/v1/customers/{self.ids[name]}", body)
        same(self.place_of(answer), self.home(name))
        self.there[name] |= there
        self.values[name] |= body
        name, body, _, there = self.pair.creates[3]
        answer = self.ask("POST", "/v1/customers", body, status=201)
        same(answer["provider"]["connection"], "new")
        self.ids[name], self.there[name], self.target_ids[name] = answer["id"], there, answer["provider"]["id"]
        self.values[name] = values_of(answer)
        # A deletion still reaches both sides.
        self.delete(self.pair.deletes[3])
        self.eventually(self.compare)
        self.reads()

    def undo(self):
        """What the switch has made is deleted, unless others have changed it. What it has linked keeps its values."""
        changed, change, _, _ = self.pair.changed_copy
        self.new.change(self.target_ids[changed], change)
        self.there[changed] |= change
        steps = self.gateway.switch("abandon", "shop", "--undo", "--dry-run")
        assert "NOT REVERSIBLE" in steps, steps
        self.compare()
        self.gateway.switch("abandon", "shop", "--undo", "--yes")
        self.expect_state("abandoned")
        made = [name for name, person in self.pair.people.items() if person.run[0] == "created" and name != changed]
        for name in made:
            self.there.pop(name)
        self.compare()
        row = self.gateway.file("results")[self.ids[changed]]
        same(row["code"], "record_stays")
        for name, id in self.ids.items():
            customer = self.ask("GET", f"/v1/customers/{id}")
            same((self.place_of(customer), values_of(customer)), (("main", id), self.values[name]), name)
