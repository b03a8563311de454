"""What a test says about one switch: who the customers are, and what becomes of each."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Person:
    """A customer of the source, and what the document says becomes of it.

    `plan`, `run` and `end` are outcome and code: what the plan says, what the first run makes of it, and what becomes
    of it after the `decision`. `wrong` is a decision that is refused, with the code of the refusal. `names` is the
    field that the finding names.
    """

    record: dict
    copy: dict | None = None
    plan: tuple = ("created", "")
    run: tuple | None = None
    decision: tuple | None = None
    end: tuple | None = None
    wrong: tuple | None = None
    names: str | None = None

    def __post_init__(self):
        self.run = self.run or self.plan
        self.end = self.end or self.run


@dataclass
class Pair:
    """A switch from one vendor to another: the people, the records at the target, and what clients and others do."""

    source: str
    target: str
    settings: str
    people: dict
    # A copy has these values where the person's `copy` has no others.
    blank: dict
    # Records that stand at the target before the switch. `linked` names the person whose record one becomes, and
    # `filled` what the copy fills in.
    there: dict
    linked: dict
    filled: dict
    # The records that only the target knew, as the source has them after the cutover. The first one has the id of a
    # customer of the source.
    strangers: dict
    collision: str
    # Those of them that the source cannot have, and the code that says why.
    stuck: dict
    # What others do at the target between `run` and `verify`.
    changed_copy: tuple
    removed_copy: str
    changed_link: tuple
    # What others change at the home of a customer: the fields at both sides, and what the API answers.
    changed_home: tuple
    # What the merchant's code writes, at each home: the body of a request, and the fields that change at each side.
    updates: list
    # A new customer: the body, and the record at each side.
    creates: list
    deletes: list
    # What the API answers at the target, where that is not what it answers at the source.
    shows: dict = field(default_factory=dict)
    lost: set = field(default_factory=set)
    # What the plan counts of a field, as far as a test says it: held, kept, transformed, carried, lost.
    forecast: dict = field(default_factory=dict)
    # What happens before the cutover in this switch alone: a function of the story.
    also: Callable | None = None
    # Some answers to copies never come. Where the target's list does not show who is new, this customer stays in doubt,
    # and the copy is not sent again.
    in_doubt: str | None = None
    # Records of another business at the target.
    elsewhere: list = field(default_factory=list)
