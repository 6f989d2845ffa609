"""How large and how deep a request may be."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Bounds on one request's shape; its size in bytes is bounded where the body is read.

    `depth` counts nested arrays and objects, `nodes` all JSON values and keys together. The others
    bound lists of the request: `messages`, `tools`, `images`, `stops` (stop sequences), `choices`
    (`n`); `name_bytes` the length of a model's or a tool's name.
    """

    depth: int = 64
    nodes: int = 250_000
    messages: int = 10_000
    tools: int = 128
    images: int = 100
    stops: int = 64
    choices: int = 128
    name_bytes: int = 256


DEFAULT_LIMITS = RequestLimits()
