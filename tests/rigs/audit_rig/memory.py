"""Stores in memory. `step` is awaited before and after whatever each of them does."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count

from sluicegate.audit.errors import CorruptLogError
from sluicegate.audit.ports import Blob, StoredKey
from sluicegate.kernel.errors import DependencyUnavailableError

Step = Callable[[str], Awaitable[None]]


async def nothing(what):
    return None


@dataclass
class Disk:
    """What outlives the processes that use it."""

    blobs: dict = field(default_factory=dict)
    generations: dict = field(default_factory=dict)
    numbers: count = field(default_factory=lambda: count(1))
    rows: dict = field(default_factory=dict)
    packs: set = field(default_factory=set)
    published: list = field(default_factory=list)
    tenants: dict = field(default_factory=dict)
    people: dict = field(default_factory=dict)

    def copy(self):
        return Disk(
            dict(self.blobs),
            dict(self.generations),
            count(next(self.numbers)),
            dict(self.rows),
            set(self.packs),
            list(self.published),
            dict(self.tenants),
            dict(self.people),
        )

    def put(self, name, content):
        self.blobs[name] = content
        self.generations[name] = next(self.numbers)
        if name == "checkpoint":
            self.published.append(content)
        return self.generations[name]


class MemoryBlobs:
    def __init__(self, disk, step=nothing):
        self.disk = disk
        self.step = step

    async def read(self, name):
        await self.step(f"read {name}")
        content = self.disk.blobs.get(name)
        return None if content is None else Blob(content, self.disk.generations[name])

    async def write(self, name, content, *, if_generation=None):
        await self.step(f"write {name}")
        if if_generation is not None and self.disk.generations.get(name, 0) != if_generation:
            return None
        generation = self.disk.put(name, content)
        await self.step(f"written {name}")
        return generation

    async def write_all(self, blobs):
        for name, content in blobs.items():
            await self.step(f"write {name}")
            self.disk.put(name, content)
        await self.step("written all")

    async def list(self, prefix):
        await self.step(f"list {prefix}")
        return sorted(name for name in self.disk.blobs if name.startswith(prefix))

    async def delete(self, names):
        for name in names:
            await self.step(f"delete {name}")
            self.disk.blobs.pop(name, None)
            self.disk.generations.pop(name, None)
        if names:
            await self.step("deleted")


class MemoryIndex:
    def __init__(self, disk, step=nothing):
        self.disk = disk
        self.step = step

    async def size(self):
        await self.step("index size")
        return len(self.disk.rows)

    async def known(self, ids):
        await self.step("index known")
        have = {row.id for row in self.disk.rows.values()}
        return len(self.disk.rows), have & set(ids)

    async def add(self, first, rows, packs):
        await self.step("index add")
        if first > len(self.disk.rows):
            raise DependencyUnavailableError("a gap")
        ids = {row.id: place for place, row in self.disk.rows.items()}
        for row in rows:
            if self.disk.rows.get(row.index, row) != row or ids.get(row.id, row.index) != row.index:
                raise CorruptLogError("another entry")
        self.disk.rows.update({row.index: row for row in rows})
        self.disk.packs.update(packs)
        await self.step("index added")

    async def find(self, tenant, wanted, limit, *, after, newest_first):
        rows = [row for row in self.disk.rows.values() if row.tenant == tenant and matches(row, wanted)]
        rows.sort(key=lambda row: (row.at_ms, row.index), reverse=newest_first)
        if after is not None:
            beyond = (lambda at: at < after) if newest_first else (lambda at: at > after)
            rows = [row for row in rows if beyond((row.at_ms, row.index))]
        return rows[:limit]

    async def entry(self, tenant, key):
        for row in self.disk.rows.values():
            if row.tenant == tenant and key in {row.id, row.index}:
                return row
        return None

    async def packs(self, tenant, places):
        found = []
        for day, place in places:
            fit = [p for p in self.disk.packs if (p.tenant, p.day) == (tenant, day) and p.first <= place]
            found.append(max(fit, key=lambda pack: pack.first, default=None))
        return found

    async def drop_packs(self, packs):
        self.disk.packs -= set(packs)

    async def tenants(self):
        return sorted({row.tenant for row in self.disk.rows.values()})

    async def clear(self):
        self.disk.rows.clear()
        self.disk.packs.clear()


def matches(row, wanted):
    exact = wanted.action is None or (
        row.action == wanted.action
        or (
            wanted.action.endswith(".*")
            and (row.action == wanted.action[:-2] or row.action.startswith(wanted.action[:-1]))
        )
    )
    return (
        exact
        and (wanted.since_ms is None or row.at_ms >= wanted.since_ms)
        and (wanted.until_ms is None or row.at_ms < wanted.until_ms)
        and (wanted.below is None or row.index < wanted.below)
        and all(
            getattr(wanted, name) in {None, getattr(row, name)}
            for name in ("user", "workspace", "domain", "result")
        )
    )


class MemoryKeys:
    def __init__(self, disk):
        self.disk = disk

    async def tenant_key(self, tenant):
        return self.disk.tenants.get(tenant)

    async def add_tenant_key(self, tenant, wrapped):
        before = self.disk.tenants.get(tenant)
        if before is None or before.wrapped is None:
            self.disk.tenants[tenant] = StoredKey(wrapped, before.erased_ms if before else None)

    async def person_keys(self, tenant, references):
        return [
            self.disk.people[tenant, each] for each in set(references) if (tenant, each) in self.disk.people
        ]

    async def person_keys_by_id(self, tenant, ids):
        return [key for (owner, _), key in self.disk.people.items() if owner == tenant and key.id in set(ids)]

    async def add_person_keys(self, tenant, keys):
        for key in keys:
            before = self.disk.people.get((tenant, key.reference))
            if before is None or before.wrapped is None:
                erased = before.erased_ms if before else None
                self.disk.people[tenant, key.reference] = StoredKey(
                    key.wrapped, erased, key.id, key.reference
                )

    async def destroy_person_key(self, tenant, reference, at_ms):
        before = self.disk.people.get((tenant, reference))
        self.disk.people[tenant, reference] = StoredKey(None, at_ms, None, reference)
        return before is not None and before.wrapped is not None

    async def destroy_tenant_key(self, tenant, at_ms):
        before = self.disk.tenants.get(tenant)
        self.disk.tenants[tenant] = StoredKey(None, at_ms)
        for place in [place for place in self.disk.people if place[0] == tenant]:
            del self.disk.people[place]
        return before is not None and before.wrapped is not None
