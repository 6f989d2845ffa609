"""What is asked of Firestore in one attempt, by the published client library."""

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from sluicegate.adapters.gcp.firestore.documents import (
    Change,
    Create,
    Document,
    Path,
    Put,
    Query,
    Sums,
    Write,
)

if TYPE_CHECKING:
    from google.cloud.firestore_v1 import AsyncClient
    from google.cloud.firestore_v1.async_batch import AsyncWriteBatch
    from google.cloud.firestore_v1.async_query import AsyncQuery

MOST_WRITES = 500
"""Documents that one commit writes at most."""

MOST_ALTERNATIVES = 30
"""Values that one `in` may have."""


class ConflictError(Exception):
    """A document was not as a commit wanted it: another writer was first. Nothing was written."""


class Session:
    """The verbs, each within `timeout_s`. Raises the library's errors, and `ConflictError`.

    The library retries nothing here: whoever made the session does, with one deadline over all.
    """

    def __init__(self, client: "AsyncClient", timeout_s: float) -> None:
        self._client = client
        self._call: dict[str, Any] = {"retry": None, "timeout": timeout_s}

    async def get(self, paths: Sequence[Path]) -> list[Document | None]:
        """The documents, in the order of `paths`, all of one moment."""
        if not paths:
            return []
        references = [self._client.document(*path) for path in paths]
        found: dict[Path, Document] = {}
        async for snapshot in self._client.get_all(references, **self._call):
            if snapshot.exists:
                document = _document(snapshot)
                found[document.path] = document
        return [found.get(path) for path in paths]

    async def find(self, query: Query) -> list[Document]:
        """What matches, all of one moment."""
        return [document async for document in self.stream(query)]

    async def stream(self, query: Query) -> AsyncIterator[Document]:
        """What matches, one after the other, all of one moment."""
        async for snapshot in self._query(query).stream(**self._call):
            yield _document(snapshot)

    async def sums(self, asked: Sums) -> list[int]:
        """The sums of the fields, exactly; 0 over nothing.

        Raises:
            OverflowError: a sum is beyond 64 bits.
        """
        aggregation = None
        for name in asked.fields:
            target: Any = self._query(asked.query) if aggregation is None else aggregation
            aggregation = target.sum(name, alias=name)
        if aggregation is None:
            return []
        results = await aggregation.get(**self._call)
        sums = {each.alias: each.value for row in results for each in row}
        for name, value in sums.items():
            # The service turns to floating point where 64 bits do not suffice, and where there is nothing.
            if isinstance(value, float) and value != 0:
                raise OverflowError(f"the sum of {name} is beyond 64 bits")
        return [int(sums.get(name) or 0) for name in asked.fields]

    async def commit(self, writes: Sequence[Write]) -> None:
        """Apply all of at most `MOST_WRITES` writes, or none.

        Raises:
            ConflictError: a document was not as it should be.
        """
        from google.api_core import exceptions  # noqa: PLC0415 - loaded by whoever made the client

        batch = self._client.batch()
        for write in writes:
            self._add(batch, write)
        if not writes:
            return
        try:
            await batch.commit(**self._call)
        except (exceptions.AlreadyExists, exceptions.FailedPrecondition, exceptions.NotFound) as error:
            raise ConflictError(str(error)) from None

    def _add(self, batch: "AsyncWriteBatch", write: Write) -> None:
        reference = self._client.document(*write.path)
        if isinstance(write, Create):
            batch.create(reference, dict(write.fields))
        elif isinstance(write, Put):
            batch.set(reference, dict(write.fields), merge=write.merge)
        elif isinstance(write, Change):
            option = self._client.write_option(last_update_time=write.version)
            batch.update(reference, dict(write.fields), option=option)
        elif write.version is None:
            batch.delete(reference)
        else:
            batch.delete(reference, option=self._client.write_option(last_update_time=write.version))

    def _query(self, query: Query) -> "AsyncQuery":
        from google.cloud.firestore_v1 import FieldFilter  # noqa: PLC0415 - loaded by whoever made the client

        if query.group:
            asked: Any = self._client.collection_group(query.collection[0])
        else:
            asked = self._client.collection(*query.collection)
        for name, operator, value in query.where:
            asked = asked.where(filter=FieldFilter(name, operator, value))
        for name, falling in query.order:
            asked = asked.order_by(name, direction="DESCENDING" if falling else "ASCENDING")
        if query.after is not None:
            asked = asked.start_after(
                {name: value for (name, _), value in zip(query.order, query.after, strict=True)}
            )
        if query.select is not None:
            asked = asked.select(list(query.select))
        whole: AsyncQuery = asked if query.limit is None else asked.limit(query.limit)
        return whole


def _document(snapshot: Any) -> Document:
    return Document(tuple(snapshot.reference._path), snapshot.to_dict() or {}, snapshot.update_time)  # noqa: SLF001 - `path` joins the parts
