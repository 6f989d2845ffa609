"""Commands on hashes."""

from sluicegate.adapters.redis.embedded.commands.keys import scan_cursor, scan_options
from sluicegate.adapters.redis.embedded.commands.registry import (
    command,
    decimal,
    decimal_text,
    integer,
    pattern,
)
from sluicegate.adapters.redis.embedded.keyspace import Keyspace
from sluicegate.adapters.redis.embedded.resp import OK, CommandError, Reply

_NOT_INTEGER = "ERR hash value is not an integer"
_NOT_FLOAT = "ERR hash value is not a float"


def _hash(db: Keyspace, key: bytes) -> dict[bytes, bytes]:
    return db.typed(key, dict) or {}


def _set(db: Keyspace, words: tuple[bytes, ...], name: str) -> int:
    if len(words) % 2:
        raise CommandError(f"ERR wrong number of arguments for '{name}' command")
    fields = db.ensured(words[1], dict)
    before = len(fields)
    fields.update(zip(words[2::2], words[3::2], strict=True))
    return len(fields) - before


@command("HSET", -4, writes=True)
def hset(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return _set(db, words, "hset")


@command("HMSET", -4, writes=True)
def hmset(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    _set(db, words, "hmset")
    return OK


@command("HSETNX", 4, writes=True)
def hsetnx(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    fields = db.ensured(words[1], dict)
    if words[2] in fields:
        db.instead = []
        return 0
    fields[words[2]] = words[3]
    return 1


@command("HGET", 3)
def hget(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return _hash(db, words[1]).get(words[2])


@command("HMGET", -3)
def hmget(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    fields = _hash(db, words[1])
    return [fields.get(field) for field in words[2:]]


@command("HGETALL", 2)
def hgetall(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return [part for pair in _hash(db, words[1]).items() for part in pair]


@command("HKEYS", 2)
def hkeys(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return list(_hash(db, words[1]))


@command("HVALS", 2)
def hvals(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return list(_hash(db, words[1]).values())


@command("HLEN", 2)
def hlen(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return len(_hash(db, words[1]))


@command("HEXISTS", 3)
def hexists(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return int(words[2] in _hash(db, words[1]))


@command("HSTRLEN", 3)
def hstrlen(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return len(_hash(db, words[1]).get(words[2], b""))


@command("HDEL", -3, writes=True)
def hdel(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    fields = _hash(db, words[1])
    gone = sum(fields.pop(field, None) is not None for field in words[2:])
    if gone:
        db.drop_if_empty(words[1])
    else:
        db.instead = []
    return gone


@command("HINCRBY", 4, writes=True)
def hincrby(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    amount = integer(words[3])
    old = _hash(db, words[1]).get(words[2])
    total = (0 if old is None else integer(old, _NOT_INTEGER)) + amount
    if not -(2**63) <= total < 2**63:
        raise CommandError("ERR increment or decrement would overflow")
    db.ensured(words[1], dict)[words[2]] = b"%d" % total
    return total


@command("HINCRBYFLOAT", 4, writes=True)
def hincrbyfloat(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    amount = decimal(words[3], "ERR value is NaN or Infinity")
    old = _hash(db, words[1]).get(words[2])
    try:
        total = decimal_text((decimal(old) if old is not None else 0) + amount)
    except CommandError:
        raise CommandError(_NOT_FLOAT) from None
    db.ensured(words[1], dict)[words[2]] = total
    db.instead = [(b"HSET", words[1], words[2], total)]
    return total


@command("HSCAN", -3)
def hscan(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    scan_cursor(words[2])
    fields = db.typed(words[1], dict)
    if fields is None:
        return [b"0", []]
    glob, _ = scan_options(words[2], words[3:])
    matches = None if glob is None else pattern(glob).match
    found: list[Reply] = []
    for field, value in fields.items():
        if matches is None or matches(field):
            found += (field, value)
    return [b"0", found]
