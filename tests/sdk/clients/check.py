"""What the scripts of Python clients share: who answers, and one line of JSON an operation."""

import json
import os
import traceback
import urllib.request
from contextlib import contextmanager

BASE = os.environ["SDK_BASE"]
"""What the SDK is pointed at in the place of its vendor's origin."""
KEY = os.environ["SDK_KEY"]
"""A merchant's key at the gateway."""


def ask_gateway(path, body=None):
    """Asks the gateway's own API, which tells what the answering provider can do."""
    request = urllib.request.Request(
        os.environ["SDK_GATEWAY"] + path,
        data=body and json.dumps(body).encode(),
        headers={"authorization": "Bearer " + os.environ["SDK_GATEWAY_KEY"], "content-type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


PROVIDER = ask_gateway("/v1/providers/" + os.environ["SDK_PROVIDER"])["generations"][0]


def lacks(operation):
    """Why the answering provider lacks an operation; `None` where it has it."""
    found = next(one for one in PROVIDER["operations"] if one["operation"] == operation)
    return found["reason"] if found["support"] == "none" else None


def holds(field):
    """Whether an update of the answering provider's customers takes this field."""
    return next(one for one in PROVIDER["fields"] if one["field"] == field)["update"] != "none"


def told_total(all_there_are, seen, is_full):
    """The total that a page must tell. Where the provider tells none, a full page means that there may be one more."""
    return all_there_are if PROVIDER["paging"]["tells_total"] else seen + is_full


def same(found, expected):
    """Fails with both when they differ."""
    assert found == expected, f"found {found!r}, expected {expected!r}"


def has(record, **expected):
    """The members of a dictionary or an object are these, whatever else it has."""
    read = record.get if isinstance(record, dict) else lambda name: getattr(record, name)
    same({name: read(name) for name in expected}, expected)


class Checks:
    """A client's checks. `tell` reads the status and the message of what the client raises, an `error`."""

    def __init__(self, error, tell):
        self.error = error
        self.tell = tell

    def refused(self, status, text, call):
        """The call must be refused with this status, and a message that has this text."""
        try:
            call()
        except self.error as error:
            told_status, message = self.tell(error)
            same(told_status, status)
            assert text in message, f"{message!r} has no {text!r}"
            return
        raise AssertionError("it was answered, not refused")

    @contextmanager
    def operation(self, name, lacking=None):
        """One operation. Where the provider lacks it, it must fail as the vendor's own refusals do, with the reason."""
        outcome, detail = "works", None
        try:
            yield
            assert lacking is None, f"it was answered, and yet it is said to be lacking: {lacking}"
        except Exception as error:
            outcome, detail = "failed", traceback.format_exc()
            if lacking and isinstance(error, self.error):
                status, message = self.tell(error)
                is_refusal = 400 <= status < 500 and status not in (401, 403, 429) and lacking in message
                outcome, detail = ("lacking", lacking) if is_refusal else ("failed", f"{status}: {message}")
        print(json.dumps({"operation": name, "outcome": outcome, "detail": detail}), flush=True)
