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


@schemathesis.hook
def filter_case(context, case):
    """Leaves out wrong requests whose only mistake may be a number such as `6e140`. For a schema it is an integer, of more than 64 bits.
    For the gateway it is a fraction, because it is written with an exponent, and so it is accepted."""
    return case.meta is None or case.meta.generation.mode.is_positive or not has_large_fraction(case.body)


def has_large_fraction(value):
    if isinstance(value, dict):
        return any(map(has_large_fraction, value.values()))
    if isinstance(value, list):
        return any(map(has_large_fraction, value))
    return isinstance(value, float) and abs(value) >= 2**63
