"""Shared by the scripts of Python clients: the answering provider, and one line of JSON for each operation."""

import json
import os
import traceback
import urllib.request
from contextlib import contextmanager

BASE = os.environ["SDK_BASE"]
"""The base URL for the SDK, in place of its vendor's origin."""
KEY = os.environ["SDK_KEY"]
"""The API key of the merchant at the gateway."""


def ask_gateway(path, body=None):
    """Sends a request to the gateway's own API, which lists what the answering provider can do."""
    request = urllib.request.Request(
        os.environ["SDK_GATEWAY"] + path,
        data=body and json.dumps(body).encode(),
        headers={"authorization": "Bearer " + os.environ["SDK_GATEWAY_KEY"], "content-type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


PROVIDER = ask_gateway("/v1/providers/" + os.environ["SDK_PROVIDER"])["generations"][0]


def lacks(operation):
    """Why the answering provider lacks an operation. `None` if it has the operation."""
    found = next(one for one in PROVIDER["operations"] if one["operation"] == operation)
    return found["reason"] if found["support"] == "none" else None


def stores(field):
    """Whether the answering provider can update this field of a customer."""
    return next(one for one in PROVIDER["fields"] if one["field"] == field)["update"] != "none"


def expected_total(count, seen, is_full):
    """The total that a page must have. If the provider gives no total, a full page announces one more customer."""
    return count if PROVIDER["paging"]["tells_total"] else seen + is_full


def same(found, expected):
    """Fails, and shows both values, if they differ."""
    assert found == expected, f"found {found!r}, expected {expected!r}"


def has(record, **expected):
    """Asserts that a dictionary or an object has these members. It may have others."""
    read = record.get if isinstance(record, dict) else lambda name: getattr(record, name)
    same({name: read(name) for name in expected}, expected)


class Checks:
    """The checks of a client. `decode_error` reads the status and the message of an `error` that the client raises."""

    def __init__(self, error, decode_error):
        self.error = error
        self.decode_error = decode_error

    def refused(self, status, text, call):
        """Asserts that the call is refused with this status, and with a message that contains this text."""
        try:
            call()
        except self.error as error:
            found_status, message = self.decode_error(error)
            same(found_status, status)
            assert text in message, f"{message!r} does not contain {text!r}"
            return
        raise AssertionError("the call succeeded, but it should have been refused")

    @contextmanager
    def operation(self, name, lacking=None):
        """Runs one operation. If the provider lacks it, it must fail with the reason, in the vendor's shape."""
        outcome, detail = "works", None
        try:
            yield
            assert lacking is None, f"the call succeeded, but the provider is listed as lacking it: {lacking}"
        except Exception as error:
            outcome, detail = "failed", traceback.format_exc()
            if lacking and isinstance(error, self.error):
                status, message = self.decode_error(error)
                is_refusal = 400 <= status < 500 and status not in (401, 403, 429) and lacking in message
                outcome, detail = ("lacking", lacking) if is_refusal else ("failed", f"{status}: {message}")
        print(json.dumps({"operation": name, "outcome": outcome, "detail": detail}), flush=True)
