"""From bytes to a JSON object, safely.

The upstream always gets our own serialisation of what was parsed, never the client's bytes. So what
was checked is what is sent: of a duplicate key the last value counts, for us and for the provider;
an integer beyond 64 bits becomes the nearest double (RFC 8259, section 6), which no field that must
be an integer accepts.
"""

import re
from typing import Any

import orjson

from sluicegate.completions.limits import DEFAULT_LIMITS, RequestLimits
from sluicegate.completions.types import Json
from sluicegate.kernel.errors import InvalidRequestError

# Possessive, and content with a missing end: linear on any input.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)


def parse_body(raw: bytes, limits: RequestLimits = DEFAULT_LIMITS) -> Json:
    """The JSON object in `raw`.

    Raises:
        InvalidRequestError: empty, not UTF-8, not JSON (NaN, infinities and lone surrogates are not),
            not an object, nested too deep, or with too many values. Syntax errors say where.
    """
    if not raw:
        raise InvalidRequestError("The body is empty; send a JSON object.")
    # A value or key needs a comma, a bracket or a colon before it, so fewer of those than the limit is
    # proof enough. Punctuation inside of strings is told apart only when there is that much of it.
    if len(raw) > limits.nodes and _punctuation(raw) >= limits.nodes:
        nodes = _punctuation(_STRING.sub(b"", raw))
        if nodes >= limits.nodes:
            raise InvalidRequestError(f"The body has more than {limits.nodes} JSON values; send fewer.")
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidRequestError(f"The body is not valid JSON: {error}.") from None
    if type(body) is not dict:
        raise InvalidRequestError("The body must be a JSON object.")
    if raw.count(b"{") + raw.count(b"[") > limits.depth and not _within(body, limits.depth):
        raise InvalidRequestError(f"The body is nested deeper than {limits.depth} levels; flatten it.")
    return body


def _punctuation(raw: bytes) -> int:
    return raw.count(b",") + raw.count(b"{") + raw.count(b"[") + raw.count(b":")


def _within(body: Json, depth: int) -> bool:
    """Whether `body` has at most `depth` levels; level by level, so no recursion of ours."""
    level: list[Any] = [body]
    for _ in range(depth):
        below: list[Any] = []
        for container in level:
            for value in container.values() if type(container) is dict else container:
                kind = type(value)
                if kind is dict or kind is list:
                    below.append(value)
        if not below:
            return True
        level = below
    return False
