"""Changes requests of schemathesis before they are sent, where no schema can say what is valid."""

import itertools
import os

import schemathesis

NUMBERS = itertools.count(1)


@schemathesis.hook
def before_call(context, case, kwargs):
    """Numbers the idempotency keys of valid requests, for each part of a run differently: a key that belongs to another request is refused, as it must be. A wrong
    request is left as it is, because schemathesis forgets what is wrong with one that is changed."""
    key = (case.headers or {}).get("Idempotency-Key")
    if key and case.meta and case.meta.generation.mode.is_positive:
        case.headers["Idempotency-Key"] = f"{os.getpid()}.{next(NUMBERS)}.{key}"[:255]
