"""Commands on keys of any kind."""

from sluicegate.adapters.redis.embedded.commands.registry import command, integer, pattern
from sluicegate.adapters.redis.embedded.keyspace import TYPE_NAMES, Keyspace
from sluicegate.adapters.redis.embedded.resp import OK, SYNTAX, CommandError, Reply, Status


@command("DEL", -2, writes=True)
@command("UNLINK", -2, writes=True)
def delete(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return sum(db.get(key) is not None and db.delete(key) for key in words[1:])


@command("EXISTS", -2)
@command("TOUCH", -2)
def exists(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return sum(db.get(key) is not None for key in words[1:])


@command("TYPE", 2)
def type_of(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    value = db.get(words[1])
    return Status(b"none" if value is None else TYPE_NAMES[type(value)])


@command("EXPIRE", -3, writes=True)
def expire(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return _set_deadline(db, words, db.now_ms + integer(words[2]) * 1000)


@command("PEXPIRE", -3, writes=True)
def pexpire(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return _set_deadline(db, words, db.now_ms + integer(words[2]))


@command("EXPIREAT", -3, writes=True)
def expireat(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return _set_deadline(db, words, integer(words[2]) * 1000)


@command("PEXPIREAT", -3, writes=True)
def pexpireat(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return _set_deadline(db, words, integer(words[2]))


def _set_deadline(db: Keyspace, words: tuple[bytes, ...], deadline_ms: int) -> Reply:
    key, conditions = words[1], {word.upper() for word in words[3:]}
    if unknown := conditions - {b"NX", b"XX", b"GT", b"LT"}:
        raise CommandError(f"ERR Unsupported option {unknown.pop().decode('latin-1').lower()}")
    if b"NX" in conditions and len(conditions) > 1:
        raise CommandError("ERR NX and XX, GT or LT options at the same time are not compatible")
    if {b"GT", b"LT"} <= conditions:
        raise CommandError("ERR GT and LT options at the same time are not compatible")
    db.instead = []
    if db.get(key) is None:
        return 0
    old = db.deadlines.get(key)
    if (
        (b"NX" in conditions and old is not None)
        or (b"XX" in conditions and old is None)
        or (b"GT" in conditions and (old is None or deadline_ms <= old))
        or (b"LT" in conditions and old is not None and deadline_ms >= old)
    ):
        return 0
    if deadline_ms <= db.now_ms:
        db.delete(key)
        db.instead = [(b"DEL", key)]
    else:
        db.deadlines[key] = deadline_ms
        db.instead = [(b"PEXPIREAT", key, b"%d" % deadline_ms)]
    return 1


@command("PERSIST", 2, writes=True)
def persist(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return int(db.get(words[1]) is not None and db.deadlines.pop(words[1], None) is not None)


@command("PTTL", 2)
def pttl(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return _remaining(db, words[1], 1)


@command("TTL", 2)
def ttl(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return _remaining(db, words[1], 1000)


def _remaining(db: Keyspace, key: bytes, unit_ms: int) -> int:
    if db.get(key) is None:
        return -2
    deadline = db.deadlines.get(key)
    return -1 if deadline is None else (deadline - db.now_ms + unit_ms // 2) // unit_ms


@command("PEXPIRETIME", 2)
def pexpiretime(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return -2 if db.get(words[1]) is None else db.deadlines.get(words[1], -1)


@command("EXPIRETIME", 2)
def expiretime(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    if db.get(words[1]) is None:
        return -2
    deadline = db.deadlines.get(words[1])
    return -1 if deadline is None else (deadline + 500) // 1000


@command("RENAME", 3, writes=True)
def rename(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    value = db.get(words[1])
    if value is None:
        raise CommandError("ERR no such key")
    deadline = db.deadlines.get(words[1])
    db.delete(words[1])
    db.put(words[2], value)
    if deadline is not None:
        db.deadlines[words[2]] = deadline
    return OK


@command("KEYS", 2)
def keys(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    matches = pattern(words[1]).match
    return [key for key in db.alive() if matches(key)]


@command("SCAN", -2)
def scan(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    glob, kind = scan_options(words[1], words[2:], with_type=True)
    found: list[Reply] = [
        key
        for key in db.alive()
        if (glob is None or pattern(glob).match(key))
        and (kind is None or TYPE_NAMES[type(db.values[key])] == kind.lower())
    ]
    return [b"0", found]


def scan_cursor(cursor: bytes) -> None:
    """Refuse what is no cursor."""
    if not cursor.isdigit():
        raise CommandError("ERR invalid cursor")


def scan_options(
    cursor: bytes, options: tuple[bytes, ...], *, with_type: bool = False
) -> tuple[bytes | None, bytes | None]:
    """The pattern and the type asked for. Every scan here is complete in one call, with cursor 0."""
    scan_cursor(cursor)
    glob = kind = None
    if len(options) % 2:
        raise CommandError(SYNTAX)
    for name, value in zip(options[::2], options[1::2], strict=True):
        if name.upper() == b"MATCH":
            glob = value
        elif name.upper() == b"COUNT":
            if integer(value) < 1:
                raise CommandError(SYNTAX)
        elif name.upper() == b"TYPE" and with_type:
            kind = value
        else:
            raise CommandError(SYNTAX)
    return glob, kind


@command("DBSIZE", 1)
def dbsize(db: Keyspace, _words: tuple[bytes, ...]) -> Reply:
    return len(db.alive())


@command("FLUSHALL", -1, writes=True)
@command("FLUSHDB", -1, writes=True)
def flush(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    if len(words) > 2 or (len(words) == 2 and words[1].upper() not in {b"SYNC", b"ASYNC"}):
        raise CommandError(SYNTAX)
    db.clear()
    return OK
