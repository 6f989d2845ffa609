"""`idempotency-key`: a retried request is answered again, not run again.

A key belongs to one API key of one tenant. The first request claims it with the digest of its body;
until that one ends, others with the same body are told to come back, and afterwards get its answer.
"""

import hashlib
from dataclasses import dataclass
from typing import Protocol

from sluicegate.kernel.errors import IdempotencyConflictError, SluicegateError
from sluicegate.kernel.tenancy import redis_key


@dataclass(frozen=True, slots=True)
class Claim:
    """A key claimed for the request `request_id`; to be completed with an answer, or released."""

    key: str
    digest: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """What is known of a claimed key: who claimed it for which body, and the answer if it is there."""

    digest: str
    request_id: str
    answer: bytes | None


class IdempotencyStore(Protocol):
    """Keeps claims for as long as they are asked to, atomically.

    `claim` returns None when the key was free (it is the caller's now), else what is recorded.
    """

    async def claim(self, claim: Claim, ttl_s: int) -> Recorded | None: ...

    async def complete(self, claim: Claim, answer: bytes, ttl_s: int) -> None: ...

    async def release(self, claim: Claim) -> None: ...


class IdempotencyInProgressError(SluicegateError):
    """The request that claimed this key is still running."""

    status = 409
    code = "idempotency_in_progress"
    kind = "invalid_request_error"


def claim_for(tenant: str, api_key: str, path: str, idempotency_key: str, body: bytes, rid: str) -> Claim:
    """The claim of one request. The caller's text is hashed into the key: any text is safe there."""
    name = hashlib.blake2b(f"{api_key}\0{idempotency_key}".encode(), digest_size=16).hexdigest()
    digest = hashlib.blake2b(path.encode() + b"\0" + body, digest_size=16).hexdigest()
    return Claim(redis_key(tenant, f"idem:{name}"), digest, rid)


def answer_for(claim: Claim, recorded: Recorded) -> bytes:
    """The recorded answer, if `claim` may have it.

    Raises:
        IdempotencyConflictError: the key was used with another body.
        IdempotencyInProgressError: the first request is still running.
    """
    if recorded.digest != claim.digest:
        raise IdempotencyConflictError(
            "this idempotency-key was used with another request body; use a new key for a new request",
            param="idempotency-key",
        )
    if recorded.answer is None:
        raise IdempotencyInProgressError(
            "a request with this idempotency-key is still running; try again shortly",
            param="idempotency-key",
            retry_after=1,
        )
    return recorded.answer
