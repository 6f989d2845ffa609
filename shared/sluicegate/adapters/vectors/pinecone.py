"""Vectors in Pinecone: one index, a namespace per tenant."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from pydantic import SecretStr

from sluicegate.kernel.errors import DependencyUnavailableError, InvalidRequestError
from sluicegate.kernel.tenancy import checked_name

T = TypeVar("T")

_log = logging.getLogger(__name__)

BATCH = 100
"""Vectors in one request, as Pinecone advises."""

AT_ONCE = 4
MOST_IDS = 1_000
_TOO_MANY = 429


@dataclass(frozen=True, slots=True)
class VectorRow:
    """A vector to keep. `facts` can be filtered by: text, numbers, booleans, lists of text."""

    id: str
    values: Sequence[float]
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VectorMatch:
    """A vector that was found. `score` as the index's metric gives it; for cosine 1 is the same direction."""

    id: str
    score: float
    facts: Mapping[str, Any]


class PineconeVectors:
    """The vectors of all tenants, of whom none ever sees another's.

    Args:
        host: of the index, as Pinecone's console shows it.
        key: gives the API key in force when the connection is opened, and again after it was refused.
        attempt_s: how long one try may take; the library tries four times what may pass.
        total_s: how long all tries may take.
    """

    def __init__(
        self,
        host: str,
        key: Callable[[], Awaitable[SecretStr]],
        *,
        attempt_s: float = 5.0,
        total_s: float = 10.0,
    ) -> None:
        self._host = host
        self._key = key
        self._attempt_s = attempt_s
        self._total_s = total_s
        self._index: Any = None
        self._opening = asyncio.Lock()

    async def put(self, tenant: str, rows: Sequence[VectorRow]) -> None:
        """Keep `rows`, in the place of those with the same ids. They can be found a moment later.

        Raises:
            InvalidRequestError: the index does not take such vectors (their number of dimensions).
            DependencyUnavailableError: Pinecone is away; some may be kept.
        """
        namespace = checked_name(tenant, "tenant")
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(part: Sequence[VectorRow]) -> None:
            vectors = [
                {"id": row.id, "values": list(row.values), "metadata": dict(row.facts)} for row in part
            ]
            async with slots:
                await self._call(lambda index: index.upsert(vectors=vectors, namespace=namespace))

        await asyncio.gather(*(one(part) for part in _parts(rows, BATCH)))

    async def find(
        self, tenant: str, values: Sequence[float], limit: int, *, where: Mapping[str, Any] | None = None
    ) -> Sequence[VectorMatch]:
        """The `limit` vectors nearest to `values`, best first; `where` in Pinecone's filter language.

        Raises:
            InvalidRequestError: the index does not take such a question.
            DependencyUnavailableError: Pinecone is away.
        """
        namespace = checked_name(tenant, "tenant")
        answer = await self._call(
            lambda index: index.query(
                vector=list(values), top_k=limit, namespace=namespace, filter=where, include_metadata=True
            )
        )
        matches = () if answer is None else answer.matches
        return [VectorMatch(each.id, each.score, dict(each.metadata or {})) for each in matches]

    async def drop(self, tenant: str, ids: Sequence[str]) -> None:
        """Forget vectors; those that are not there are forgotten already."""
        namespace = checked_name(tenant, "tenant")
        for part in _parts(ids, MOST_IDS):
            own = list(part)
            await self._call(partial(_delete, ids=own, namespace=namespace), absent=True)

    async def forget_tenant(self, tenant: str) -> None:
        """Forget all of a tenant's vectors."""
        namespace = checked_name(tenant, "tenant")
        await self._call(lambda index: index.delete(delete_all=True, namespace=namespace), absent=True)

    async def close(self) -> None:
        """Close the connections."""
        index, self._index = self._index, None
        if index is not None:
            await index.close()

    async def _call(self, ask: Callable[[Any], Awaitable[T]], *, absent: bool = False) -> T | None:
        """What `ask` makes of the index; with `absent`, None where the namespace is not there."""
        from pinecone import errors  # noqa: PLC0415 - takes a fifth of a second to load

        try:
            async with asyncio.timeout(self._total_s):
                index = await self._opened()
                try:
                    return await ask(index)
                except (errors.UnauthorizedError, errors.ForbiddenError):
                    # Keys rotate: the one in force now may be taken.
                    await self._reopen(index)
                    return await ask(await self._opened())
        except TimeoutError as error:
            raise DependencyUnavailableError("Pinecone did not answer in time", retry_after=1.0) from error
        except errors.NotFoundError as error:
            if absent:
                return None
            raise DependencyUnavailableError("Pinecone has no such index") from error
        except (errors.UnauthorizedError, errors.ForbiddenError) as error:
            raise DependencyUnavailableError("Pinecone does not take our API key") from error
        except errors.PineconeError as error:
            _log.warning("Pinecone: %s: %s", type(error).__name__, str(error)[:300])
            status = getattr(error, "status_code", None)
            if isinstance(status, int) and 400 <= status < 500 and status != _TOO_MANY:
                raise InvalidRequestError("the vector index does not take this") from error
            raise DependencyUnavailableError("Pinecone cannot be reached", retry_after=1.0) from error

    async def _opened(self) -> Any:
        if self._index is None:
            async with self._opening:
                if self._index is None:
                    from pinecone import AsyncIndex  # noqa: PLC0415 - see `_call`

                    key = await self._key()
                    self._index = AsyncIndex(
                        host=self._host, api_key=key.get_secret_value(), timeout=self._attempt_s
                    )
        return self._index

    async def _reopen(self, refused: Any) -> None:
        if self._index is refused:
            await self.close()


async def _delete(index: Any, *, ids: Sequence[str], namespace: str) -> None:
    await index.delete(ids=ids, namespace=namespace)


def _parts(items: Sequence[T], size: int) -> Sequence[Sequence[T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
