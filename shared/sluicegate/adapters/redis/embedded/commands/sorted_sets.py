"""Commands on sorted sets."""

from sluicegate.adapters.redis.embedded.commands.keys import scan_cursor, scan_options
from sluicegate.adapters.redis.embedded.commands.registry import (
    command,
    integer,
    number,
    pattern,
    score_text,
)
from sluicegate.adapters.redis.embedded.keyspace import Keyspace
from sluicegate.adapters.redis.embedded.resp import SYNTAX, CommandError, Reply
from sluicegate.adapters.redis.embedded.values import SortedSet

_NOT_RANGE = "ERR min or max is not a float"
_NAN = "ERR resulting score is not a number (NaN)"


def _sorted(db: Keyspace, key: bytes) -> SortedSet:
    found = db.typed(key, SortedSet)
    return SortedSet() if found is None else found


@command("ZADD", -4, writes=True)
def zadd(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    flags: set[bytes] = set()
    at = 2
    while at < len(words) and words[at].upper() in {b"NX", b"XX", b"GT", b"LT", b"CH", b"INCR"}:
        flags.add(words[at].upper())
        at += 1
    pairs = words[at:]
    if not pairs or len(pairs) % 2:
        raise CommandError(SYNTAX)
    if {b"NX", b"XX"} <= flags:
        raise CommandError("ERR XX and NX options at the same time are not compatible")
    if len(flags & {b"GT", b"LT", b"NX"}) > 1:
        raise CommandError("ERR GT, LT, and/or NX options at the same time are not compatible")
    if b"INCR" in flags and len(pairs) > 2:
        raise CommandError("ERR INCR option supports a single increment-element pair")
    changes = [(number(score), member) for score, member in zip(pairs[::2], pairs[1::2], strict=True)]
    target = db.ensured(words[1], SortedSet)
    added = changed = 0
    final: float | None = None
    for given, member in changes:
        old = target.scores.get(member)
        score = given if old is None or b"INCR" not in flags else old + given
        if score != score:  # noqa: PLR0124 - the test for not-a-number
            db.drop_if_empty(words[1])
            raise CommandError(_NAN)
        if old is None:
            if b"XX" in flags:
                continue
            added += 1
        elif b"NX" in flags or (b"GT" in flags and score <= old) or (b"LT" in flags and score >= old):
            continue
        elif score != old:
            changed += 1
        target.put(member, score)
        final = score
    db.drop_if_empty(words[1])
    if b"INCR" in flags:
        return None if final is None else score_text(final)
    return added + changed if b"CH" in flags else added


@command("ZINCRBY", 4, writes=True)
def zincrby(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return zadd(db, (b"ZADD", words[1], b"INCR", words[2], words[3]))


@command("ZREM", -3, writes=True)
def zrem(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    target = _sorted(db, words[1])
    gone = sum(target.discard(member) for member in words[2:])
    db.drop_if_empty(words[1])
    if not gone:
        db.instead = []
    return gone


@command("ZCARD", 2)
def zcard(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return len(_sorted(db, words[1]))


def _maybe_score(target: SortedSet, member: bytes) -> bytes | None:
    score = target.scores.get(member)
    return None if score is None else score_text(score)


@command("ZSCORE", 3)
def zscore(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return _maybe_score(_sorted(db, words[1]), words[2])


@command("ZMSCORE", -3)
def zmscore(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    target = _sorted(db, words[1])
    return [_maybe_score(target, member) for member in words[2:]]


@command("ZRANK", 3)
def zrank(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return _sorted(db, words[1]).rank(words[2])


@command("ZREVRANK", 3)
def zrevrank(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    target = _sorted(db, words[1])
    rank = target.rank(words[2])
    return None if rank is None else len(target) - 1 - rank


def _score_slice(target: SortedSet, low: bytes, high: bytes) -> tuple[int, int]:
    return target.between(
        number(low.removeprefix(b"("), _NOT_RANGE),
        number(high.removeprefix(b"("), _NOT_RANGE),
        above=low.startswith(b"("),
        below=high.startswith(b"("),
    )


def _rank_slice(length: int, start: int, stop: int) -> tuple[int, int]:
    start = max(0, start + length) if start < 0 else start
    stop = stop + length if stop < 0 else stop
    return start, max(start, min(stop + 1, length))


@command("ZCOUNT", 4)
def zcount(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    start, end = _score_slice(_sorted(db, words[1]), words[2], words[3])
    return end - start


def _listed(entries: list[tuple[float, bytes]], *, scores: bool) -> Reply:
    if not scores:
        return [member for _, member in entries]
    return [part for score, member in entries for part in (member, score_text(score))]


def _range(
    db: Keyspace,
    key: bytes,
    bounds: tuple[bytes, bytes],
    options: tuple[bytes, ...],
    *,
    by_score: bool,
    reverse: bool,
    extended: bool,
) -> Reply:
    scores, limit = False, None
    rest = iter(options)
    for word in rest:
        option = word.upper()
        if option == b"WITHSCORES":
            scores = True
        elif option == b"LIMIT":
            offset, count = next(rest, None), next(rest, None)
            if offset is None or count is None:
                raise CommandError(SYNTAX)
            limit = (integer(offset), integer(count))
        elif option == b"BYSCORE" and extended:
            by_score = True
        elif option == b"REV" and extended:
            reverse = True
        else:
            raise CommandError(SYNTAX)
    if limit is not None and not by_score:
        raise CommandError(
            "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX"
        )
    target = _sorted(db, key)
    if by_score:
        low, high = (bounds[1], bounds[0]) if reverse else bounds
        start, end = _score_slice(target, low, high)
    else:
        start, end = _rank_slice(len(target), integer(bounds[0]), integer(bounds[1]))
        if reverse:
            start, end = len(target) - end, len(target) - start
    entries = target.order[max(0, start) : max(0, end)]
    if reverse:
        entries.reverse()
    if limit is not None:
        offset_, count_ = limit
        if offset_ < 0:
            return []
        entries = entries[offset_:] if count_ < 0 else entries[offset_ : offset_ + count_]
    return _listed(entries, scores=scores)


@command("ZRANGE", -4)
def zrange(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return _range(db, words[1], (words[2], words[3]), words[4:], by_score=False, reverse=False, extended=True)


@command("ZREVRANGE", -4)
def zrevrange(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return _range(db, words[1], (words[2], words[3]), words[4:], by_score=False, reverse=True, extended=False)


@command("ZRANGEBYSCORE", -4)
def zrangebyscore(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return _range(db, words[1], (words[2], words[3]), words[4:], by_score=True, reverse=False, extended=False)


@command("ZREVRANGEBYSCORE", -4)
def zrevrangebyscore(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return _range(db, words[1], (words[2], words[3]), words[4:], by_score=True, reverse=True, extended=False)


def _remove(db: Keyspace, key: bytes, target: SortedSet, start: int, end: int) -> int:
    gone = target.order[start:end]
    del target.order[start:end]
    for _, member in gone:
        del target.scores[member]
    db.drop_if_empty(key)
    return len(gone)


@command("ZREMRANGEBYSCORE", 4, writes=True)
def zremrangebyscore(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    target = _sorted(db, words[1])
    return _remove(db, words[1], target, *_score_slice(target, words[2], words[3]))


@command("ZREMRANGEBYRANK", 4, writes=True)
def zremrangebyrank(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    target = _sorted(db, words[1])
    start, end = _rank_slice(len(target), integer(words[2]), integer(words[3]))
    return _remove(db, words[1], target, start, end)


@command("ZPOPMIN", -2, writes=True)
def zpopmin(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return _pop(db, words, last=False)


@command("ZPOPMAX", -2, writes=True)
def zpopmax(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return _pop(db, words, last=True)


def _pop(db: Keyspace, words: tuple[bytes, ...], *, last: bool) -> Reply:
    if len(words) > 3:
        raise CommandError(SYNTAX)
    count = integer(words[2]) if len(words) == 3 else 1
    if count < 0:
        raise CommandError("ERR value is out of range, must be positive")
    target = _sorted(db, words[1])
    start = max(0, len(target) - count) if last else 0
    end = len(target) if last else count
    entries = target.order[start:end]
    if last:
        entries.reverse()
    _remove(db, words[1], target, start, end)
    return _listed(entries, scores=True)


@command("ZSCAN", -3)
def zscan(db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    scan_cursor(words[2])
    target = db.typed(words[1], SortedSet)
    if target is None:
        return [b"0", []]
    glob, _ = scan_options(words[2], words[3:])
    matches = None if glob is None else pattern(glob).match
    return [
        b"0",
        _listed([entry for entry in target.order if matches is None or matches(entry[1])], scores=True),
    ]
