"""Commands on lists and sets."""

from collections import deque

from sluicegate.adapters.redis.embedded.commands.keys import scan_cursor, scan_options
from sluicegate.adapters.redis.embedded.commands.registry import command, integer, pattern
from sluicegate.adapters.redis.embedded.keyspace import Keyspace
from sluicegate.adapters.redis.embedded.resp import OK, SYNTAX, CommandError, Reply


def _push(db: Keyspace, words: tuple[bytes, ...], *, left: bool, create: bool = True) -> Reply:
    if not create and db.typed(words[1], deque) is None:
        db.instead = []
        return 0
    items = db.ensured(words[1], deque)
    if left:
        items.extendleft(words[2:])
    else:
        items.extend(words[2:])
    return len(items)


@command("LPUSH", -3, writes=True)
def lpush(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return _push(db, words, left=True)


@command("RPUSH", -3, writes=True)
def rpush(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return _push(db, words, left=False)


@command("LPUSHX", -3, writes=True)
def lpushx(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return _push(db, words, left=True, create=False)


@command("RPUSHX", -3, writes=True)
def rpushx(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return _push(db, words, left=False, create=False)


def _pop(db: Keyspace, words: tuple[bytes, ...], *, left: bool) -> Reply:
    if len(words) > 3:
        raise CommandError(SYNTAX)
    count = integer(words[2]) if len(words) == 3 else 1
    if count < 0:
        raise CommandError("ERR value is out of range, must be positive")
    items = db.typed(words[1], deque)
    if items is None:
        return None
    taken: list[Reply] = [items.popleft() if left else items.pop() for _ in range(min(count, len(items)))]
    db.drop_if_empty(words[1])
    return taken if len(words) == 3 else taken[0]


@command("LPOP", -2, writes=True)
def lpop(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return _pop(db, words, left=True)


@command("RPOP", -2, writes=True)
def rpop(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return _pop(db, words, left=False)


@command("LLEN", 2)
def llen(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return len(db.typed(words[1], deque) or ())


def _slice(length: int, start: int, stop: int) -> slice:
    start = max(0, start + length) if start < 0 else start
    stop = stop + length if stop < 0 else stop
    return slice(start, max(start, stop + 1))


@command("LRANGE", 4)
def lrange(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    items = list(db.typed(words[1], deque) or ())
    return list(items[_slice(len(items), integer(words[2]), integer(words[3]))])


@command("LINDEX", 3)
def lindex(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    items = db.typed(words[1], deque) or ()
    index = integer(words[2])
    return items[index] if -len(items) <= index < len(items) else None


@command("LTRIM", 4, writes=True)
def ltrim(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    start, stop = integer(words[2]), integer(words[3])
    items = db.typed(words[1], deque)
    if items is not None:
        kept = list(items)[_slice(len(items), start, stop)]
        items.clear()
        items.extend(kept)
        db.drop_if_empty(words[1])
    return OK


@command("LREM", 4, writes=True)
def lrem(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    count, target = integer(words[2]), words[3]
    items = db.typed(words[1], deque)
    if items is None:
        return 0
    order = reversed(range(len(items))) if count < 0 else range(len(items))
    gone = [index for index in order if items[index] == target][: abs(count) or None]
    for index in sorted(gone, reverse=True):
        del items[index]
    db.drop_if_empty(words[1])
    return len(gone)


@command("SADD", -3, writes=True)
def sadd(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    members = db.ensured(words[1], set)
    before = len(members)
    members.update(words[2:])
    return len(members) - before


@command("SREM", -3, writes=True)
def srem(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    members = db.typed(words[1], set)
    if members is None:
        return 0
    before = len(members)
    members.difference_update(words[2:])
    gone = before - len(members)
    db.drop_if_empty(words[1])
    return gone


@command("SMEMBERS", 2)
def smembers(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return [*sorted(db.typed(words[1], set) or ())]


@command("SISMEMBER", 3)
def sismember(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return int(words[2] in (db.typed(words[1], set) or ()))


@command("SMISMEMBER", -3)
def smismember(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    members = db.typed(words[1], set) or ()
    return [int(member in members) for member in words[2:]]


@command("SCARD", 2)
def scard(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return len(db.typed(words[1], set) or ())


@command("SSCAN", -3)
def sscan(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    scan_cursor(words[2])
    members = sorted(db.typed(words[1], set) or ())
    if not members:
        return [b"0", []]
    glob, _ = scan_options(words[2], words[3:])
    found: list[Reply] = [member for member in members if glob is None or pattern(glob).match(member)]
    return [b"0", found]
