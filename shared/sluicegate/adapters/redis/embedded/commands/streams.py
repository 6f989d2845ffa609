"""Commands on streams. Consumer groups and blocking reads are not among them."""

import re

from sluicegate.adapters.redis.embedded.commands.registry import command, integer
from sluicegate.adapters.redis.embedded.keyspace import Keyspace
from sluicegate.adapters.redis.embedded.resp import OK, SYNTAX, CommandError, Reply
from sluicegate.adapters.redis.embedded.values import FIRST_ID, LAST_ID, Stream, StreamId

_INVALID_ID = "ERR Invalid stream ID specified as stream command argument"
_ID = re.compile(rb"([0-9]{1,20})(?:-([0-9]{1,20}))?")
_TOP = 2**64 - 1


def id_text(entry_id: StreamId) -> bytes:
    """An id as Redis writes it, `<ms>-<sequence>`."""
    return b"%d-%d" % entry_id


def _id(word: bytes, sequence: int) -> StreamId:
    match = _ID.fullmatch(word)
    if match is None:
        raise CommandError(_INVALID_ID)
    found = (int(match[1]), int(match[2]) if match[2] is not None else sequence)
    if max(found) > _TOP:
        raise CommandError(_INVALID_ID)
    return found


def _low(word: bytes) -> StreamId:
    if word == b"-":
        return FIRST_ID
    if word.startswith(b"("):
        low = _id(word[1:], 0)
        if low == LAST_ID:
            raise CommandError("ERR invalid start ID for the interval")
        return (low[0], low[1] + 1) if low[1] < _TOP else (low[0] + 1, 0)
    return LAST_ID if word == b"+" else _id(word, 0)


def _high(word: bytes) -> StreamId:
    if word == b"+":
        return LAST_ID
    if word.startswith(b"("):
        high = _id(word[1:], _TOP)
        if high == FIRST_ID:
            raise CommandError("ERR invalid end ID for the interval")
        return (high[0], high[1] - 1) if high[1] else (high[0] - 1, _TOP)
    return FIRST_ID if word == b"-" else _id(word, _TOP)


def _new_id(db: Keyspace, stream: Stream, word: bytes) -> StreamId:
    last = stream.last_id
    if word == b"*":
        if db.now_ms > last[0]:
            return (db.now_ms, 0)
        return (last[0], last[1] + 1) if last[1] < _TOP else (last[0] + 1, 0)
    if word.endswith(b"-*"):
        ms = _id(word[:-2], 0)[0]
        entry_id = (ms, last[1] + 1 if ms == last[0] else 0)
        if ms == 0 and entry_id == (0, 0):
            entry_id = (0, 1)
    else:
        entry_id = _id(word, 0)
    if entry_id <= last:
        raise CommandError("ERR The ID specified in XADD is equal or smaller than the target stream top item")
    return entry_id


def _refuse_zero(word: bytes) -> None:
    """Refuse an id that is none, and 0-0, before anything else is looked at."""
    if word != b"*" and not word.endswith(b"-*") and _id(word, 0) == FIRST_ID:
        raise CommandError("ERR The ID specified in XADD must be greater than 0-0")


def _trim_words(words: tuple[bytes, ...], at: int) -> tuple[bytes, bytes, int]:
    """The strategy and threshold at `at`, and the place after them. `~` trims exactly, as it may."""
    strategy = words[at].upper()
    at += 1
    if at < len(words) and words[at] in {b"~", b"="}:
        at += 1
    if at >= len(words):
        raise CommandError(SYNTAX)
    threshold = words[at]
    at += 1
    if at + 1 < len(words) and words[at].upper() == b"LIMIT":
        integer(words[at + 1])
        at += 2
    return strategy, threshold, at


def _trim(stream: Stream, strategy: bytes, threshold: bytes) -> int:
    if strategy == b"MAXLEN":
        most = integer(threshold)
        if most < 0:
            raise CommandError("ERR The MAXLEN argument must be >= 0.")
        return stream.cut(len(stream) - most)
    lowest = _id(threshold, 0)
    return stream.cut(sum(entry_id < lowest for entry_id in stream.ids))


@command("XADD", -5, writes=True)
def xadd(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    key, at, create, trim = words[1], 2, True, None
    while at < len(words):
        option = words[at].upper()
        if option == b"NOMKSTREAM":
            create = False
            at += 1
        elif option in {b"MAXLEN", b"MINID"}:
            strategy, threshold, at = _trim_words(words, at)
            trim = (strategy, threshold)
            _trim(Stream(), *trim)
        else:
            break
    fields = words[at + 1 :]
    if not fields or len(fields) % 2:
        raise CommandError("ERR wrong number of arguments for 'xadd' command")
    _refuse_zero(words[at])
    stream = db.typed(key, Stream)
    if stream is None and not create:
        db.instead = []
        return None
    entry_id = _new_id(db, Stream() if stream is None else stream, words[at])
    if stream is None:
        stream = db.ensured(key, Stream)
    stream.append(entry_id, list(fields))
    if trim is not None:
        _trim(stream, *trim)
    db.instead = [(*words[:at], id_text(entry_id), *fields)]
    return id_text(entry_id)


@command("XLEN", 2)
def xlen(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return len(db.typed(words[1], Stream) or ())


def _count(words: tuple[bytes, ...]) -> int | None:
    if not words:
        return None
    if len(words) != 2 or words[0].upper() != b"COUNT":
        raise CommandError(SYNTAX)
    return max(0, integer(words[1]))


def _entries(found: list[tuple[StreamId, list[bytes]]]) -> list[Reply]:
    return [[id_text(entry_id), list(fields)] for entry_id, fields in found]


@command("XRANGE", -4)
def xrange(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return _xrange(db, words[1], _low(words[2]), _high(words[3]), _count(words[4:]), reverse=False)


@command("XREVRANGE", -4)
def xrevrange(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return _xrange(db, words[1], _low(words[3]), _high(words[2]), _count(words[4:]), reverse=True)


def _xrange(
    db: Keyspace, key: bytes, low: StreamId, high: StreamId, count: int | None, *, reverse: bool
) -> Reply:
    stream = db.typed(key, Stream)
    if stream is None:
        return []
    if count == 0:
        return None
    return _entries(stream.between(low, high, count, reverse=reverse))


@command("XDEL", -3, writes=True)
def xdel(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    stream = db.typed(words[1], Stream)
    if stream is None:
        return 0
    gone = sum(stream.discard(entry_id) for entry_id in [_id(word, 0) for word in words[2:]])
    if not gone:
        db.instead = []
    return gone


@command("XTRIM", -4, writes=True)
def xtrim(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    if words[2].upper() not in {b"MAXLEN", b"MINID"}:
        raise CommandError(SYNTAX)
    strategy, threshold, at = _trim_words(words, 2)
    if at != len(words):
        raise CommandError(SYNTAX)
    stream = db.typed(words[1], Stream)
    return _trim(Stream() if stream is None else stream, strategy, threshold)


@command("XSETID", -3, writes=True)
def xsetid(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    stream = db.typed(words[1], Stream)
    if stream is None:
        raise CommandError("ERR no such key")
    last = _id(words[2], 0)
    if stream.ids and last < stream.ids[-1]:
        raise CommandError("ERR The ID specified in XSETID is smaller than the target stream top item")
    stream.last_id = last
    return OK


@command("XREAD", -4)
def xread(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    count, at = None, 1
    if words[at].upper() == b"COUNT":
        count, at = max(0, integer(words[at + 1])) or None, at + 2
    if at < len(words) and words[at].upper() == b"BLOCK":
        raise CommandError("ERR the embedded server does not block; read again later")
    names = words[at + 1 :]
    if at >= len(words) or words[at].upper() != b"STREAMS" or not names or len(names) % 2:
        raise CommandError(SYNTAX)
    half = len(names) // 2
    found: list[Reply] = []
    for key, after in zip(names[:half], names[half:], strict=True):
        stream = db.typed(key, Stream)
        if stream is None or after == b"$":
            continue
        if entries := stream.between(_low(b"(" + after), LAST_ID, count, reverse=False):
            found.append([key, _entries(entries)])
    return found or None
