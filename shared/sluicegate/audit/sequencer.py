"""The sequencer: puts entries into the log, each once, whatever stops it and wherever.

An integration stages its batch as one blob and then names it in the log's state, by a conditional write.
That write is the commit: before it nothing happened, after it the batch is in the log, and whoever comes next
finishes what is left, all of which gives the same bytes however often it is done. Of two sequencers only one
can commit after a given state; the other one sees that it lost, and starts over.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from sluicegate.audit.actions import AuditAction
from sluicegate.audit.batches import FOLDER, Batch, index_rows, pack_blobs, staged_size, staging_name
from sluicegate.audit.errors import CorruptLogError
from sluicegate.audit.integration import integrate, tiles_needed, tree_root
from sluicegate.audit.log_reader import fill_index, read_bundle, read_tiles
from sluicegate.audit.merkle import leaf_hash
from sluicegate.audit.ports import BlobStore, EntryIndex
from sluicegate.audit.publishing import CheckpointPublisher
from sluicegate.audit.sealer import Sealer
from sluicegate.audit.state import STATE, LogState
from sluicegate.audit.tiles import (
    TILE_HEIGHT,
    TILE_WIDTH,
    Bundle,
    Tile,
    append_entries,
    bundle_edge,
    pack_entries,
)
from sluicegate.kernel.errors import DependencyUnavailableError

_TRIES = 100


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of actions: how many are new in the log, how many were there; the log's size."""

    added: int
    duplicates: int
    size: int


@dataclass(frozen=True, slots=True)
class _Edge:
    """The right edge of a tree of `size` leaves: partial tiles, and the partial bundle's content."""

    size: int
    tiles: dict[Tile, bytes]
    bundle: bytes


class Sequencer:
    """One log's sequencer. Several may run; they do not hurt each other, and one is enough.

    Args:
        most: entries of one integration.
    """

    def __init__(
        self,
        blobs: BlobStore,
        index: EntryIndex,
        sealer: Sealer,
        publisher: CheckpointPublisher,
        *,
        most: int = 5_000,
    ) -> None:
        self._blobs = blobs
        self._index = index
        self._sealer = sealer
        self._publisher = publisher
        self._most = most
        self._turn = asyncio.Lock()
        self._edge: _Edge | None = None
        self._swept = False

    async def append(self, actions: Sequence[AuditAction]) -> Appended:
        """Put the actions into the log; those that are there already are left alone.

        When it returns they are integrated and covered by a published checkpoint.

        Raises:
            DependencyUnavailableError: a store is away, or others were faster too many times. What was
                committed is in the log; appending the same again is right.
            CorruptLogError, MissingTileError, CorruptTileError: what is stored cannot be built upon.
        """
        added, size = 0, 0
        async with self._turn:
            for at in range(0, len(actions), self._most) or (0,):
                more, size = await self._append(actions[at : at + self._most])
                added += more
        return Appended(added, len(actions) - added, size)

    async def settle(self) -> LogState:
        """Finish what another left, start the log if there is none; the state with nothing pending.

        Raises:
            As `append`.
        """
        async with self._turn:
            return (await self._settled())[0]

    async def _append(self, actions: Sequence[AuditAction]) -> tuple[int, int]:
        for _ in range(_TRIES):
            state, generation = await self._settled()
            fresh = await self._fresh(actions, state.size)
            if fresh is None:
                continue
            if not fresh:
                return 0, state.size
            batch = Batch(state.size, await self._sealer.seal(fresh))
            content = batch.encode()
            name = staging_name(content)
            await self._blobs.write(name, content)
            pending = LogState(state.size, state.root, name)
            committed = await self._commit(pending, generation)
            if committed is None:
                await self._blobs.delete([name])
                continue
            await self._finish(pending, committed, batch)
            return len(fresh), batch.size
        raise DependencyUnavailableError("other sequencers are always faster", retry_after=1.0)

    async def _commit(self, pending: LogState, generation: int) -> int | None:
        """The generation of the state that has the batch; None where another one was faster."""
        content = pending.encode()
        committed = await self._blobs.write(STATE, content, if_generation=generation)
        if committed is None:
            # A store that tries again by itself can refuse what it has just written.
            now = await self._blobs.read(STATE)
            if now is not None and now.content == content:
                return now.generation
        return committed

    async def _fresh(self, actions: Sequence[AuditAction], size: int) -> list[AuditAction] | None:
        """The actions that are not in the log of this size, each once; None where the index cannot say."""
        indexed, known = await self._index.known([action.id for action in actions])
        if indexed < size:
            return None
        fresh = []
        for action in actions:
            if action.id not in known:
                known.add(action.id)
                fresh.append(action)
        return fresh

    async def _settled(self) -> tuple[LogState, int]:
        """The state, with nothing pending and the index complete, and its generation."""
        for _ in range(_TRIES):
            blob = await self._blobs.read(STATE)
            if blob is None:
                await self._start()
                continue
            state, generation = LogState.decode(blob.content), blob.generation
            if not self._swept:
                await self._sweep(state)
            if state.pending is not None:
                await self._recover(state, generation)
                continue
            indexed = await self._index.size()
            if indexed < state.size:
                await fill_index(self._blobs, self._index, state.size)
            elif indexed > state.size:
                again = await self._blobs.read(STATE)
                if again is not None and again.generation == generation:
                    raise CorruptLogError(
                        f"The index knows {indexed} entries, the log has {state.size}: was the log put back "
                        "to an older copy? Run `sluicegate audit reindex` once that is understood.",
                        details={"name": STATE},
                    )
                continue
            return state, generation
        raise DependencyUnavailableError("other sequencers are always faster", retry_after=1.0)

    async def _start(self) -> None:
        """Start a log: only where nothing of one is left."""
        left = bool(await self._blobs.list("tile/")) or await self._index.size() > 0
        if left and await self._blobs.read(STATE) is None:
            raise CorruptLogError(
                "The log's state is missing, but not its tiles or index: put the folder back from a copy.",
                details={"name": STATE},
            )
        empty = LogState()
        await self._publisher.publish(empty.size, empty.root)
        await self._blobs.write(STATE, empty.encode(), if_generation=0)

    async def _sweep(self, state: LogState) -> None:
        """Delete staged batches that can never be committed, for the log is past their size."""
        names = [name for name in await self._blobs.list(FOLDER) if staged_size(name) < state.size]
        if names:
            await self._blobs.delete(names)
        self._swept = True

    async def _recover(self, state: LogState, generation: int) -> None:
        name = str(state.pending)
        staged = await self._blobs.read(name)
        if staged is not None:
            await self._finish(state, generation, Batch.decode(name, staged.content))
            return
        again = await self._blobs.read(STATE)
        if again is not None and again.generation == generation:
            raise CorruptLogError(f"{name} is in the log, but missing.", details={"name": name})

    async def _finish(self, state: LogState, generation: int, batch: Batch) -> None:
        """Do all that follows from a commit. Done again, by whomever, it changes nothing."""
        name = str(state.pending)
        if batch.first != state.size:
            raise CorruptLogError(f"{name} does not follow the log's end.", details={"name": name})
        edge = await self._right_edge(state)
        leaves = batch.leaves()
        grown = integrate(edge.tiles, state.size, [leaf_hash(leaf) for leaf in leaves])
        bundles = append_entries(edge.bundle, state.size, leaves)
        rows = index_rows(batch.first, leaves)
        packs = batch.packs(rows)
        await self._blobs.write_all({
            **pack_blobs(packs),
            **{bundle.path: content for bundle, content in bundles.items()},
            **{tile.path: content for tile, content in grown.tiles.items()},
        })  # fmt: skip
        await self._index.add(batch.first, rows, list(packs))
        await self._publisher.publish(grown.size, grown.root)
        done = LogState(grown.size, grown.root)
        # Where this is not written, another one has finished the same.
        await self._blobs.write(STATE, done.encode(), if_generation=generation)
        await self._blobs.delete([name])
        await self._prune(edge, state.size, grown.size)
        last = bundle_edge(grown.size)
        self._edge = _Edge(grown.size, grown.right_edge, b"" if last is None else bundles[last])

    async def _prune(self, edge: _Edge, before: int, after: int) -> None:
        """Delete partial tiles and bundles whose full ones are there now (tlog-tiles, "Partial Tiles")."""
        paths = [
            Tile(tile.level, tile.index).path
            for tile in edge.tiles
            if (tile.index + 1) * TILE_WIDTH <= after >> TILE_HEIGHT * tile.level
        ]
        bundle = bundle_edge(before)
        if bundle is not None and (bundle.index + 1) * TILE_WIDTH <= after:
            paths.append(Bundle(bundle.index).path)
        for path in paths:
            await self._blobs.delete(await self._blobs.list(f"{path}.p/"))

    async def _right_edge(self, state: LogState) -> _Edge:
        if self._edge is not None and self._edge.size == state.size:
            edge = self._edge
        else:
            bundle = bundle_edge(state.size)
            edge = _Edge(
                state.size,
                await read_tiles(self._blobs, tiles_needed(state.size)),
                b"" if bundle is None else await self._read_bundle(bundle),
            )
        if tree_root(edge.tiles, state.size) != state.root:
            raise CorruptLogError(
                f"The tiles do not give the root that the log has at {state.size}.", details={"name": STATE}
            )
        return edge

    async def _read_bundle(self, bundle: Bundle) -> bytes:
        return pack_entries(await read_bundle(self._blobs, bundle))
