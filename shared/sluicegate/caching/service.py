"""The response cache: three levels read from the fastest, promotion on a hit, generations, coalescing.

A request takes a slot, looks it up, leads or follows, and puts its answer into that same slot:

    slot = cache.peek_slot(key, tags) or await cache.slot(key, tags)
    hit = slot and (cache.peek_l1(slot) or await cache.get(slot))

No method but `invalidate` ever fails because a store is away: that is a miss, and counted.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from sluicegate.caching.counters import CacheCounters
from sluicegate.caching.encoding import decode, encode
from sluicegate.caching.errors import CacheLevelError, CorruptEntryError
from sluicegate.caching.flights import COALESCED, Flights, Lead
from sluicegate.caching.generations import KnownGenerations
from sluicegate.caching.policy import CachingPolicy
from sluicegate.caching.ports import AnswerMemory, BlobStore, TagGenerations
from sluicegate.caching.types import CachedAnswer, CacheHit, CacheKey, CacheSlot
from sluicegate.kernel.clock import Clock

MAX_BACKGROUND = 256
OFF_LOOP_BYTES = 64 << 10

_log = logging.getLogger(__name__)


class CacheService:
    """Keeps and finds answers. A level that is None, or disabled by policy, is left out.

    Args:
        memory: L1, `shared`: L2, `archive`: L3.
        tags: the tags' generations; must be shared by all instances that share L2 or L3.
    """

    def __init__(
        self,
        policy: CachingPolicy,
        *,
        tags: TagGenerations,
        memory: AnswerMemory | None = None,
        shared: BlobStore | None = None,
        archive: BlobStore | None = None,
        clock: Clock,
    ) -> None:
        self.policy = policy
        self.counters = CacheCounters()
        self._clock = clock
        self._memory = memory if policy.l1.enabled else None
        self._levels: list[tuple[str, BlobStore, float]] = []
        if shared is not None and policy.l2.enabled:
            self._levels.append(("l2", shared, policy.l2.ttl))
        if archive is not None and policy.l3.enabled:
            self._levels.append(("l3", archive, policy.l3.ttl))
        lives = [ttl_s for _, _, ttl_s in self._levels]
        self._longest_s = max(lives, default=policy.l1.ttl)
        self._generations = KnownGenerations(tags, clock, poll_s=policy.poll, away_s=policy.away)
        self._flights = Flights(policy.coalescing.wait, policy.coalescing.followers)
        self._background: set[asyncio.Task[None]] = set()

    def peek_slot(self, key: CacheKey, tags: tuple[str, ...]) -> CacheSlot | None:
        """The slot of `key`, if the generations of `tags` are known without asking."""
        generation = self._generations.peek(key.tenant, tags)
        return None if generation is None else CacheSlot(key.tenant, f"{key.digest}.{generation}")

    async def slot(self, key: CacheKey, tags: tuple[str, ...]) -> CacheSlot | None:
        """The slot of `key`; None while the cache is away: then run the request without it."""
        try:
            generation = await self._generations.current(key.tenant, tags)
        except CacheLevelError:
            self.counters.unavailable += 1
            return None
        return CacheSlot(key.tenant, f"{key.digest}.{generation}")

    def peek_l1(self, slot: CacheSlot) -> CacheHit | None:
        """The answer, if it lies in this process's memory. A miss here is not counted."""
        if self._memory is None:
            return None
        answer = self._memory.get(slot)
        if answer is None:
            return None
        self.counters.hit("l1", answer.cost_nano)
        return CacheHit(answer, "l1")

    async def get(self, slot: CacheSlot) -> CacheHit | None:
        """The answer from the fastest level that has it, put into the levels above that one."""
        hit = self.peek_l1(slot)
        if hit is not None:
            return hit
        for index, (name, store, _) in enumerate(self._levels):
            found = await self._read(store, slot)
            if found is None:
                continue
            answer, content = found
            left_s = self._left_s(answer)
            if left_s <= 0:
                continue
            self.counters.hit(name, answer.cost_nano)
            if self._memory is not None:
                self._memory.put(slot, answer, min(self.policy.l1.ttl, left_s))
            if index:
                self._in_background(self._store(slot, content, self._levels[:index], left_s))
            return CacheHit(answer, name)
        self.counters.misses += 1
        return None

    async def put(self, slot: CacheSlot, answer: CachedAnswer) -> None:
        """Keep `answer` at every level. Larger than policy's limit: not kept."""
        if len(answer.body) > self.policy.answer_limit:
            return
        if self._memory is not None:
            self._memory.put(slot, answer, self.policy.l1.ttl)
        self.counters.stored += 1
        await self._put_below(slot, answer)

    def put_soon(self, slot: CacheSlot, answer: CachedAnswer) -> None:
        """Like `put`, but only L1 at once; the other levels are written in the background.

        With 256 writes waiting already, the other levels are left out, and that is counted.
        """
        if len(answer.body) > self.policy.answer_limit:
            return
        if self._memory is not None:
            self._memory.put(slot, answer, self.policy.l1.ttl)
        self.counters.stored += 1
        if self._levels:
            self._in_background(self._put_below(slot, answer))

    async def lead_or_follow(self, slot: CacheSlot) -> CacheHit | Lead:
        """Lead the upstream call for `slot`, or wait for the answer of the one who does.

        A leader puts its answer first and shares it then: whoever comes in between finds it in L1. A
        request that refreshes an answer, and so wants none that exists, does not call this.
        """
        if not self.policy.coalescing.enabled:
            return Lead(None, slot)
        result = await self._flights.join(slot)
        if isinstance(result, CacheHit):
            self.counters.hit(COALESCED, result.answer.cost_nano)
            return result
        # Another may have led and landed between this request's lookup and now.
        hit = self.peek_l1(slot)
        if hit is not None:
            result.share(hit.answer)
            return hit
        return result

    async def invalidate(self, tenant: str, tag: str) -> None:
        """Void every answer of `tenant` that has `tag` (see `tags.voided_tag`), on all instances.

        Raises:
            CacheLevelError: it could not be done; try again.
        """
        await self._generations.invalidate(tenant, tag)
        self.counters.invalidations += 1

    async def close(self) -> None:
        """Finish the writes under way."""
        if self._background:
            await asyncio.gather(*self._background, return_exceptions=True)

    async def _read(self, store: BlobStore, slot: CacheSlot) -> tuple[CachedAnswer, bytes] | None:
        try:
            content = await store.get(slot)
            if content is None:
                return None
            return decode(slot, content, self.policy.answer_limit), content
        except CorruptEntryError as error:
            self.counters.corrupt += 1
            _log.warning("a cache entry was dropped: %s", error.message)
            self._in_background(self._drop(store, slot))
        except CacheLevelError:
            self.counters.unavailable += 1
        return None

    async def _put_below(self, slot: CacheSlot, answer: CachedAnswer) -> None:
        if not self._levels:
            return
        above = self.policy.l2.compress_above
        if len(answer.body) > OFF_LOOP_BYTES:
            content = await asyncio.to_thread(encode, slot, answer, above)
        else:
            content = encode(slot, answer, above)
        await self._store(slot, content, self._levels, self._longest_s)

    def _left_s(self, answer: CachedAnswer) -> float:
        """Seconds left to `answer`: moving up must not make it outlive the slowest level's time."""
        return self._longest_s - max(0.0, self._clock.now() - answer.created_at)

    async def _store(
        self, slot: CacheSlot, content: bytes, levels: list[tuple[str, BlobStore, float]], left_s: float
    ) -> None:
        for _, store, ttl_s in levels:
            try:
                await store.put(slot, content, min(ttl_s, left_s))
            except CacheLevelError:
                self.counters.unavailable += 1

    async def _drop(self, store: BlobStore, slot: CacheSlot) -> None:
        try:
            await store.delete(slot)
        except CacheLevelError:
            self.counters.unavailable += 1

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        if len(self._background) >= MAX_BACKGROUND:
            work.close()
            self.counters.dropped += 1
            return
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
