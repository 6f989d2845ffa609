"""Dead letters: to be looked at, delivered again once the cause is mended, or dropped."""

from collections.abc import AsyncIterator, Sequence

from sluicegate.events.ports import DeadLetter, DeadLetterStore
from sluicegate.kernel.errors import NotFoundError

_PAGE = 500


class DeadLetters:
    """What operators do with dead letters. `tenant` None stands for all, which is the operator's view."""

    def __init__(self, store: DeadLetterStore) -> None:
        self._store = store

    async def list(
        self,
        tenant: str | None = None,
        group: str | None = None,
        *,
        limit: int = 100,
        after: str | None = None,
    ) -> Sequence[DeadLetter]:
        """Up to `limit` letters beyond the id `after`, oldest first."""
        return await self._store.list(group=group, tenant=tenant, limit=limit, after=after)

    async def show(self, letter: str, tenant: str | None = None) -> DeadLetter:
        """The letter with this id.

        Raises:
            NotFoundError: there is none of this tenant.
        """
        found = await self._store.get(letter)
        if found is None or tenant not in {None, found.tenant}:
            raise NotFoundError(f"there is no dead letter {letter[:80]!r}")
        return found

    async def replay(self, letters: Sequence[str], tenant: str | None = None) -> int:
        """Deliver these again to the group that could not apply them, all or none; how many.

        Raises:
            NotFoundError: one of them is not there.
        """
        for letter in letters:
            await self.show(letter, tenant)
        return await self._store.replay(letters)

    async def drop(self, letters: Sequence[str], tenant: str | None = None) -> int:
        """Forget these, all or none; how many.

        Raises:
            NotFoundError: one of them is not there.
        """
        for letter in letters:
            await self.show(letter, tenant)
        return await self._store.drop(letters)

    async def all(self, tenant: str | None = None, group: str | None = None) -> AsyncIterator[DeadLetter]:
        """Every letter there is when it is come to."""
        after: str | None = None
        while page := await self._store.list(group=group, tenant=tenant, limit=_PAGE, after=after):
            for letter in page:
                yield letter
            after = page[-1].id
