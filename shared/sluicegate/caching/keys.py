"""The key of an answer: everything that decides it, nothing that does not. Pure and fast."""

from hashlib import blake2b
from typing import Any

import orjson

from sluicegate.caching.types import CacheKey
from sluicegate.kernel.models import Dialect

DIGEST_BYTES = 20

# How the answer travels, who it is for, how it is billed, kept or looked up: not what it says.
NOT_DECIDING = frozenset(
    {
        "model",  # the catalogue's model goes into the key by itself
        "stream",
        "stream_options",
        "user",
        "metadata",
        "store",
        "service_tier",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
    }
)


def answer_key(
    tenant: str, policy_version: str, dialect: Dialect, model: str, body: dict[str, Any], variant: bytes = b""
) -> CacheKey:
    """The key of the answer to `body` by catalogue model `model`.

    The digest is BLAKE2b over the parts, each with its length before it so that no two lists of parts
    look alike, the body as JSON with sorted keys. The order of messages, tools and stop sequences
    counts; the order of an object's fields does not. `variant` is for request headers that change
    the answer (`anthropic-beta`).

    Raises:
        TypeError: `body` is not what a JSON parser returns.
    """
    deciding = {name: value for name, value in body.items() if name not in NOT_DECIDING}
    canonical = orjson.dumps(deciding, option=orjson.OPT_SORT_KEYS)
    head = (
        f"{len(tenant)}:{tenant}{len(policy_version)}:{policy_version}"
        f"{len(dialect)}:{dialect}{len(model)}:{model}{len(variant)}:"
    )
    digest = blake2b(b"%b%b%b" % (head.encode(), variant, canonical), digest_size=DIGEST_BYTES)
    return CacheKey(tenant, digest.hexdigest())
