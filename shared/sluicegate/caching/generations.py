"""The tags' generations as this instance knows them: read once, kept until a notice or for a moment."""

import asyncio
from collections import OrderedDict

from sluicegate.caching.errors import CacheLevelError
from sluicegate.caching.ports import TagGenerations
from sluicegate.caching.tags import fingerprint
from sluicegate.kernel.clock import Clock

MAX_KNOWN = 20_000
MAX_RELOADS = 3


class KnownGenerations:
    """Fingerprints of tag sets, kept until one of the tenant's tags changes, at most `poll_s` seconds.

    While the source is away nothing is known, so nothing is read from any level: an answer that may
    have been voided is not served. After a failure the source is left alone for `away_s` seconds.
    """

    def __init__(self, source: TagGenerations, clock: Clock, *, poll_s: float, away_s: float) -> None:
        self._source = source
        self._clock = clock
        self._poll_s = poll_s
        self._away_s = away_s
        self._away_until = float("-inf")
        self._known: dict[str, OrderedDict[tuple[str, ...], tuple[float, str]]] = {}
        self._size = 0
        self._changes = 0
        self._watching: asyncio.Task[None] | None = None

    def peek(self, tenant: str, tags: tuple[str, ...]) -> str | None:
        """The fingerprint if it is known now, else None."""
        known = self._known.get(tenant)
        if known is None:
            return None
        entry = known.get(tags)
        if entry is None or self._clock.monotonic() >= entry[0]:
            return None
        return entry[1]

    async def current(self, tenant: str, tags: tuple[str, ...]) -> str:
        """The fingerprint, read from the source where it is not known.

        Raises:
            CacheLevelError: the source is away, or was a moment ago.
        """
        known = self.peek(tenant, tags)
        if known is not None:
            return known
        if self._clock.monotonic() < self._away_until:
            raise CacheLevelError("the cache's generations were unavailable a moment ago")
        await self._watch()
        for _ in range(MAX_RELOADS):
            changes = self._changes
            read_at = self._clock.monotonic()
            try:
                values = await self._source.load(tenant, tags)
            except CacheLevelError:
                self._away_until = self._clock.monotonic() + self._away_s
                raise
            found = fingerprint(tags, values)
            if changes == self._changes:
                self._keep(tenant, tags, read_at + self._poll_s, found)
                break
            # A notice came in while reading: what was read may be older than it.
        return found

    async def invalidate(self, tenant: str, tag: str) -> None:
        """Void `tag` everywhere; this instance knows at once.

        Raises:
            CacheLevelError: it is not certain that all instances will know; doing it again is safe.
        """
        try:
            await self._source.bump(tenant, tag)
        finally:
            self.changed(tenant)

    def changed(self, tenant: str) -> None:
        """Forget what was known of `tenant`."""
        self._changes += 1
        gone = self._known.pop(tenant, None)
        if gone is not None:
            self._size -= len(gone)

    def gap(self) -> None:
        """Forget everything: notices may have been missed."""
        self._changes += 1
        self._known.clear()
        self._size = 0

    def _keep(self, tenant: str, tags: tuple[str, ...], until: float, found: str) -> None:
        if self._size >= MAX_KNOWN:
            self.gap()
        known = self._known.setdefault(tenant, OrderedDict())
        self._size += tags not in known
        known[tags] = (until, found)

    async def _watch(self) -> None:
        if self._watching is None:
            self._watching = asyncio.create_task(self._source.watch(self.changed, self.gap))
        try:
            await asyncio.shield(self._watching)
        except CacheLevelError:
            # Polling covers for the missing notices; the next read tries to watch again.
            self._watching = None
