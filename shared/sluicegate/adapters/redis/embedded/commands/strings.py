"""Commands on strings."""

from sluicegate.adapters.redis.embedded.commands.registry import (
    command,
    decimal,
    decimal_text,
    integer,
)
from sluicegate.adapters.redis.embedded.keyspace import Keyspace
from sluicegate.adapters.redis.embedded.resp import OK, SYNTAX, CommandError, Reply

_INFINITE = "ERR increment would produce NaN or Infinity"
_OVERFLOW = "ERR increment or decrement would overflow"
_UNIT_MS = {b"EX": 1000, b"PX": 1, b"EXAT": 1000, b"PXAT": 1}
_LONGEST = 512 << 20


@command("GET", 2)
def get(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return db.typed(words[1], bytes)


@command("MGET", -2)
def mget(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return [value if type(value := db.get(key)) is bytes else None for key in words[1:]]


@command("STRLEN", 2)
def strlen(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return len(db.typed(words[1], bytes) or b"")


@command("GETRANGE", 4)
def getrange(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    value = db.typed(words[1], bytes) or b""
    start, end = integer(words[2]), integer(words[3])
    if start < 0 and end < 0 and start > end:
        return b""
    start = max(0, start + len(value)) if start < 0 else start
    end = max(0, end + len(value)) if end < 0 else end
    return value[start : end + 1]


@command("SET", -3, writes=True)
def set_(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    key, value = words[1], words[2]
    flags: set[bytes] = set()
    deadline: int | None = None
    rest = iter(words[3:])
    for word in rest:
        option = word.upper()
        if option in _UNIT_MS:
            amount = next(rest, None)
            if amount is None or deadline is not None or b"KEEPTTL" in flags:
                raise CommandError(SYNTAX)
            deadline = _deadline(db, option, amount, "set")
        elif option in {b"NX", b"XX", b"GET", b"KEEPTTL"}:
            flags.add(option)
        else:
            raise CommandError(SYNTAX)
    if {b"NX", b"XX"} <= flags or (deadline is not None and b"KEEPTTL" in flags):
        raise CommandError(SYNTAX)
    old = db.typed(key, bytes) if b"GET" in flags else db.get(key)
    answer: Reply = old if b"GET" in flags and isinstance(old, bytes) else None
    if (b"NX" in flags and old is not None) or (b"XX" in flags and old is None):
        db.instead = []
        return answer
    _store(db, key, value, deadline, keep=b"KEEPTTL" in flags)
    return answer if b"GET" in flags else OK


def _deadline(db: Keyspace, option: bytes, amount: bytes, name: str) -> int:
    given = integer(amount)
    if given <= 0 or given > 2**62 // 1000:
        raise CommandError(f"ERR invalid expire time in '{name}' command")
    base = 0 if option.endswith(b"AT") else db.now_ms
    return base + given * _UNIT_MS[option]


def _store(db: Keyspace, key: bytes, value: bytes, deadline: int | None, *, keep: bool = False) -> None:
    db.put(key, value, keep_deadline=keep)
    if deadline is None:
        db.instead = [(b"SET", key, value, b"KEEPTTL") if keep else (b"SET", key, value)]
    elif deadline <= db.now_ms:
        db.delete(key)
        db.instead = [(b"DEL", key)]
    else:
        db.deadlines[key] = deadline
        db.instead = [(b"SET", key, value, b"PXAT", b"%d" % deadline)]


@command("SETEX", 4, writes=True)
def setex(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    _store(db, words[1], words[3], _deadline(db, b"EX", words[2], "setex"))
    return OK


@command("PSETEX", 4, writes=True)
def psetex(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    _store(db, words[1], words[3], _deadline(db, b"PX", words[2], "psetex"))
    return OK


@command("SETNX", 3, writes=True)
def setnx(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    if db.get(words[1]) is not None:
        db.instead = []
        return 0
    db.put(words[1], words[2])
    return 1


@command("GETSET", 3, writes=True)
def getset(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    old = db.typed(words[1], bytes)
    db.put(words[1], words[2])
    return old


@command("GETDEL", 2, writes=True)
def getdel(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    old = db.typed(words[1], bytes)
    if old is not None:
        db.delete(words[1])
    return old


@command("GETEX", -2, writes=True)
def getex(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    key, options = words[1], words[2:]
    value = db.typed(key, bytes)
    db.instead = []
    if not options:
        return value
    option = options[0].upper()
    if option == b"PERSIST" and len(options) == 1:
        if value is not None and db.deadlines.pop(key, None) is not None:
            db.instead = [(b"PERSIST", key)]
    elif option in _UNIT_MS and len(options) == 2:
        deadline = _deadline(db, option, options[1], "getex")
        if value is not None:
            _store(db, key, value, deadline)
    else:
        raise CommandError(SYNTAX)
    return value


@command("MSET", -3, writes=True)
def mset(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    if len(words) % 2 == 0:
        raise CommandError("ERR wrong number of arguments for 'mset' command")
    for key, value in zip(words[1::2], words[2::2], strict=True):
        db.put(key, value)
    return OK


@command("APPEND", 3, writes=True)
def append(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    value = (db.typed(words[1], bytes) or b"") + words[2]
    db.put(words[1], value, keep_deadline=True)
    return len(value)


@command("SETRANGE", 4, writes=True)
def setrange(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    offset, patch = integer(words[2]), words[3]
    if offset < 0:
        raise CommandError("ERR offset is out of range")
    value = db.typed(words[1], bytes) or b""
    if not patch:
        return len(value)
    if offset + len(patch) > _LONGEST:
        raise CommandError("ERR string exceeds maximum allowed size (proto-max-bulk-len)")
    value = value.ljust(offset, b"\0")
    value = value[:offset] + patch + value[offset + len(patch) :]
    db.put(words[1], value, keep_deadline=True)
    return len(value)


def _add(db: Keyspace, key: bytes, amount: int) -> Reply:
    value = db.typed(key, bytes)
    total = (0 if value is None else integer(value)) + amount
    if not -(2**63) <= total < 2**63:
        raise CommandError(_OVERFLOW)
    db.put(key, b"%d" % total, keep_deadline=True)
    return total


@command("INCR", 2, writes=True)
def incr(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return _add(db, words[1], 1)


@command("DECR", 2, writes=True)
def decr(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return _add(db, words[1], -1)


@command("INCRBY", 3, writes=True)
def incrby(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return _add(db, words[1], integer(words[2]))


@command("DECRBY", 3, writes=True)
def decrby(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    amount = integer(words[2])
    if amount == -(2**63):
        raise CommandError("ERR decrement would overflow")
    return _add(db, words[1], -amount)


@command("INCRBYFLOAT", 3, writes=True)
def incrbyfloat(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    value = db.typed(words[1], bytes)
    total = decimal_text((decimal(value) if value is not None else 0) + decimal(words[2], _INFINITE))
    db.put(words[1], total, keep_deadline=True)
    db.instead = [(b"SET", words[1], total, b"KEEPTTL")]
    return total
