"""The embedded Redis against a real one: the same commands, the same replies, errors included."""

import shutil
import socket
from collections.abc import Iterator
from typing import Any

import hiredis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluicegate.adapters.redis.command import pack
from sluicegate.adapters.redis.embedded.engine import Engine
from sluicegate.adapters.redis.embedded.resp import CommandError, encode
from sluicegate.adapters.redis.local_server import start_local_redis

Words = tuple[bytes, ...]


class RealRedis:
    """A plain blocking client."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)

    def run(self, commands: list[Words]) -> list[Any]:
        self.socket.sendall(b"".join(map(pack, commands)))
        reader, replies = hiredis.Reader(), []
        while len(replies) < len(commands):
            reader.feed(self.socket.recv(1 << 20))
            while (reply := reader.gets()) is not False:
                replies.append(plain(reply))
        return replies


def plain(reply: Any) -> Any:
    if isinstance(reply, hiredis.ReplyError):
        return f"error {reply}"
    return [plain(item) for item in reply] if isinstance(reply, list) else reply


def embedded(commands: list[Words]) -> list[Any]:
    engine, out = Engine(), []
    for words in commands:
        try:
            encode(engine.execute(words), out)
        except CommandError as error:
            encode(error, out)
    reader, replies = hiredis.Reader(), []
    reader.feed(b"".join(out))
    while (reply := reader.gets()) is not False:
        replies.append(plain(reply))
    return replies


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRedis]:
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed; nothing to compare with")
    local = start_local_redis(tmp_path_factory.mktemp("real"), prefer="server")
    redis = RealRedis(local.url.removeprefix("unix://"))
    yield redis
    redis.socket.close()
    local.stop()


KEYS = st.sampled_from([b"k1", b"k2"])
FIELDS = st.sampled_from([b"a", b"b", b"c", b""])
INTEGERS = st.one_of(
    st.integers(-5, 5), st.sampled_from([2**63 - 1, -(2**63), 2**63, 2**53 + 1, 10**18])
).map(lambda value: b"%d" % value)
NOISE = st.sampled_from([b"", b"x", b"1.5", b"01", b" 1", b"+1", b"-0", b"1e3", b"inf", b"nan", b"\xff\x00"])
VALUES = st.one_of(INTEGERS, NOISE)
# Halves and quarters: every server writes these alike, whatever its way of printing doubles.
SCORES = st.one_of(
    st.integers(-8, 8).map(lambda value: repr(value / 4).encode()), st.sampled_from([b"inf", b"-inf", b"x"])
)
BOUNDS = st.one_of(SCORES, SCORES.map(lambda score: b"(" + score))
INDEXES = st.integers(-4, 4).map(lambda value: b"%d" % value)
IDS = st.one_of(
    st.tuples(st.integers(0, 4), st.integers(0, 3)).map(lambda pair: b"%d-%d" % pair),
    st.sampled_from([b"3", b"x", b"2-*", b"18446744073709551615-18446744073709551615"]),
)
RANGE_IDS = st.one_of(IDS.filter(lambda each: each != b"2-*"), st.sampled_from([b"-", b"+", b"(1-1", b"(3"]))


def words(*parts: Any) -> st.SearchStrategy[Words]:
    """A command: text is itself, a strategy draws one word, or several if it draws a list."""

    def flat(drawn: tuple[Any, ...]) -> Words:
        found: list[bytes] = []
        for part in drawn:
            found += part if isinstance(part, list) else [part]
        return tuple(found)

    return st.tuples(*(st.just(part.encode()) if isinstance(part, str) else part for part in parts)).map(flat)


def some(item: st.SearchStrategy[bytes], most: int = 3) -> st.SearchStrategy[list[bytes]]:
    return st.lists(item, min_size=0, max_size=most)


def pairs(
    first: st.SearchStrategy[bytes], second: st.SearchStrategy[bytes]
) -> st.SearchStrategy[list[bytes]]:
    return st.lists(st.tuples(first, second), min_size=1, max_size=3).map(
        lambda drawn: [word for pair in drawn for word in pair]
    )


def maybe(*options: list[bytes]) -> st.SearchStrategy[list[bytes]]:
    return st.sampled_from([[], *options])


ZADD_FLAGS = maybe([b"NX"], [b"XX"], [b"CH"], [b"GT"], [b"LT"], [b"INCR"], [b"NX", b"XX"], [b"XX", b"CH"])
LIMITS = maybe([b"LIMIT", b"0", b"1"], [b"LIMIT", b"1", b"-1"], [b"LIMIT", b"-1", b"2"], [b"WITHSCORES"])
COUNTS = maybe([b"COUNT", b"1"], [b"COUNT", b"0"], [b"COUNT"], [b"NOPE"])
COMMON = st.one_of(
    words("DEL", KEYS),
    words("TYPE", KEYS),
    words("EXISTS", KEYS, some(KEYS)),
    words("RENAME", KEYS, KEYS),
    words("PERSIST", KEYS),
    words("EXPIRE", KEYS, st.sampled_from([b"1000", b"-1", b"x"]), maybe([b"NX"], [b"XX"], [b"GT"], [b"LT"])),
    words("PEXPIREAT", KEYS, st.sampled_from([b"99999999999999", b"5"])),
    words("EXPIRETIME", st.just(b"none")),
)
STRINGS = st.one_of(
    words(
        "SET", KEYS, VALUES, maybe([b"NX"], [b"XX"], [b"GET"], [b"KEEPTTL"], [b"EX", b"0"], [b"EX"], [b"Q"])
    ),
    words("GET", KEYS),
    words("MGET", KEYS, some(KEYS)),
    words("APPEND", KEYS, VALUES),
    words("STRLEN", KEYS),
    words("GETRANGE", KEYS, INDEXES, INDEXES),
    words("SETRANGE", KEYS, st.sampled_from([b"0", b"3", b"-1"]), VALUES),
    words("INCR", KEYS),
    words("DECRBY", KEYS, VALUES),
    words("INCRBY", KEYS, VALUES),
    words("GETDEL", KEYS),
    words("GETSET", KEYS, VALUES),
    words("SETNX", KEYS, VALUES),
    words("MSET", pairs(KEYS, VALUES)),
    words("SETEX", KEYS, st.sampled_from([b"100", b"0", b"x"]), VALUES),
)
HASHES = st.one_of(
    words("HSET", KEYS, pairs(FIELDS, VALUES)),
    words("HSET", KEYS, FIELDS, VALUES, FIELDS),
    words("HMSET", KEYS, pairs(FIELDS, VALUES)),
    words("HSETNX", KEYS, FIELDS, VALUES),
    words("HGET", KEYS, FIELDS),
    words("HMGET", KEYS, FIELDS, some(FIELDS)),
    words("HGETALL", KEYS),
    words("HVALS", KEYS),
    words("HLEN", KEYS),
    words("HEXISTS", KEYS, FIELDS),
    words("HSTRLEN", KEYS, FIELDS),
    words("HDEL", KEYS, FIELDS, some(FIELDS)),
    words("HINCRBY", KEYS, FIELDS, VALUES),
    words(
        "HSCAN", KEYS, st.sampled_from([b"0", b"x"]), maybe([b"MATCH", b"[ab]"], [b"COUNT", b"0"], [b"COUNT"])
    ),
)
SORTED_SETS = st.one_of(
    words("ZADD", KEYS, ZADD_FLAGS, pairs(SCORES, FIELDS)),
    words("ZADD", KEYS, ZADD_FLAGS, SCORES, FIELDS),
    words("ZINCRBY", KEYS, SCORES, FIELDS),
    words("ZREM", KEYS, FIELDS, some(FIELDS)),
    words("ZSCORE", KEYS, FIELDS),
    words("ZMSCORE", KEYS, FIELDS, some(FIELDS)),
    words("ZCARD", KEYS),
    words("ZCOUNT", KEYS, BOUNDS, BOUNDS),
    words("ZRANK", KEYS, FIELDS),
    words("ZREVRANK", KEYS, FIELDS),
    words("ZRANGE", KEYS, INDEXES, INDEXES, maybe([b"WITHSCORES"], [b"REV"], [b"LIMIT", b"0", b"1"])),
    words("ZRANGE", KEYS, BOUNDS, BOUNDS, st.just(b"BYSCORE"), LIMITS),
    words("ZREVRANGE", KEYS, INDEXES, INDEXES),
    words("ZRANGEBYSCORE", KEYS, BOUNDS, BOUNDS, LIMITS),
    words("ZREVRANGEBYSCORE", KEYS, BOUNDS, BOUNDS, LIMITS),
    words("ZREMRANGEBYSCORE", KEYS, BOUNDS, BOUNDS),
    words("ZREMRANGEBYRANK", KEYS, INDEXES, INDEXES),
    words("ZPOPMIN", KEYS, maybe([b"0"], [b"2"], [b"-1"])),
    words("ZPOPMAX", KEYS, maybe([b"2"])),
)
STREAMS = st.one_of(
    words(
        "XADD",
        KEYS,
        maybe([b"NOMKSTREAM"], [b"MAXLEN", b"2"], [b"MAXLEN", b"=", b"1"]),
        IDS,
        pairs(FIELDS, VALUES),
    ),
    words("XADD", KEYS, IDS, FIELDS),
    words("XLEN", KEYS),
    words("XRANGE", KEYS, RANGE_IDS, RANGE_IDS, COUNTS),
    words("XREVRANGE", KEYS, RANGE_IDS, RANGE_IDS, COUNTS),
    words(
        "XDEL", KEYS, IDS.filter(lambda each: each != b"2-*"), some(IDS.filter(lambda each: b"*" not in each))
    ),
    words("XTRIM", KEYS, st.sampled_from([b"MAXLEN", b"MINID"]), st.sampled_from([b"0", b"1", b"2"])),
    words("XREAD", maybe([b"COUNT", b"1"]), st.just(b"STREAMS"), KEYS, st.sampled_from([b"0", b"1-1", b"$"])),
)
SEQUENCES = st.one_of(
    words("LPUSH", KEYS, VALUES, some(VALUES)),
    words("RPUSH", KEYS, VALUES, some(VALUES)),
    words("RPUSHX", KEYS, VALUES),
    words("LPOP", KEYS, maybe([b"2"], [b"0"], [b"-1"])),
    words("RPOP", KEYS),
    words("LLEN", KEYS),
    words("LRANGE", KEYS, INDEXES, INDEXES),
    words("LINDEX", KEYS, INDEXES),
    words("LTRIM", KEYS, INDEXES, INDEXES),
    words("LREM", KEYS, INDEXES, VALUES),
    words("SADD", KEYS, FIELDS, some(FIELDS)),
    words("SREM", KEYS, FIELDS, some(FIELDS)),
    words("SISMEMBER", KEYS, FIELDS),
    words("SMISMEMBER", KEYS, FIELDS, some(FIELDS)),
    words("SCARD", KEYS),
)
FAMILIES = {
    "strings": STRINGS,
    "hashes": HASHES,
    "sorted sets": SORTED_SETS,
    "streams": STREAMS,
    "lists and sets": SEQUENCES,
}


def test_decimal_increments(real: RealRedis) -> None:
    # Binary fractions: others a real server rounds to 64 bits, where the embedded one computes in decimals.
    amounts = [b"1.5", b"-2", b"0.25", b"3e2", b"-0.015625", b"x", b"inf", b" 1"]
    commands = [(b"INCRBYFLOAT", b"a", amount) for amount in amounts]
    commands += [(b"HINCRBYFLOAT", b"h", b"f", amount) for amount in amounts]
    commands += [(b"GET", b"a"), (b"HGETALL", b"h")]
    assert embedded(commands) == real.run([(b"FLUSHALL",), *commands])[1:]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_commands_get_the_same_replies(family: str, real: RealRedis) -> None:
    own = FAMILIES[family]
    others = st.one_of(*(each for name, each in FAMILIES.items() if name != family))

    @settings(max_examples=120, deadline=None)
    @given(st.lists(st.one_of(own, own, own, COMMON, others), min_size=1, max_size=25))
    def compare(commands: list[Words]) -> None:
        expected = real.run([(b"FLUSHALL",), *commands])[1:]
        for command, ours, theirs in zip(commands, embedded(commands), expected, strict=True):
            assert ours == theirs or only_order_differs(ours, theirs), (command, commands)

    compare()


def only_order_differs(ours: Any, theirs: Any) -> bool:
    """Both refuse a command that is wrong twice: for its key's type, and for an argument."""
    refusals = [reply for reply in (ours, theirs) if isinstance(reply, str) and reply.startswith("error ")]
    return len(refusals) == 2 and any(reply.startswith("error WRONGTYPE") for reply in refusals)


# None of these ends in a call that fails: after a tail call the embedded server cannot name the line.
SNIPPETS = [
    "local r = redis.call('GET') return r",
    "return {redis.pcall('NOPE', 'a').err}",
    "return redis.pcall('HGET', KEYS[1], 'f')",
    "local ok, e = pcall(redis.call, 'HGET', KEYS[1], 'f') return {tostring(ok), type(e), tostring(e)}",
    "local r = redis.call('HGET', KEYS[1], 'f') return r",
    "local x = nil; return x.y",
    "error('boom')",
    "error({err='MY boom'})",
    "return redis.error_reply('MY boom')",
    "return redis.error_reply('boom')",
    "return redis.status_reply('FINE')",
    "return {err='boom'}",
    "a = 1",
    "return a",
    "return 3.99",
    "return -3.99",
    "return 0/0 == 0/0",
    "return {1, 2, nil, 4}",
    "return {1, false, true, 'x', {ok='fine'}, {err='bad'}, {{}}}",
    "return {redis.call('SET', KEYS[2], 'b'), redis.call('GET', 'none')}",
    "redis.call('SET', KEYS[2], 2^53) return redis.call('GET', KEYS[2])",
    "redis.call('SET', KEYS[2], 9007199254740991) return redis.call('GET', KEYS[2])",
    "redis.call('SET', KEYS[2], 1e15 + 0.5) return redis.call('GET', KEYS[2])",
    "redis.call('SET', KEYS[2], 0.1) return redis.call('GET', KEYS[2])",
    "return redis.call('INCRBY', KEYS[2], 123456789012345)",
    "return tostring(9007199254740991)",
    "return string.format('%d', 9007199254740991)",
    "return string.format('%.0f', 9007199254740993)",
    "return math.floor(1e15 / 3)",
    "return 1e15 % 7",
    "return #ARGV .. '|' .. KEYS[1] .. '|' .. ARGV[2]",
    "return tonumber('0x10') + tonumber('1e3')",
    "return cjson.encode({1, 2, {a=true}})",
    "return cjson.encode({a=9007199254740991})",
    "return cjson.encode({'x/y\"\\\\\\n\\t\\1'})",
    "return cjson.encode({}) .. cjson.encode({[1]=1, [3]=3})",
    "local v = cjson.encode({[1]=1, [100]=3}) return v",
    'return cjson.decode(\'{"a":[1,2,{"b":"\\\\u20ac\\\\ud83d\\\\ude00"}]}\').a[3].b',
    "return cjson.decode('[1,null]')[2] == cjson.null",
    "local v = cjson.decode('[1,') return v",
    "local v = cjson.decode('{\"a\" 1}') return v",
    "return {bit.band(255, 15), bit.bor(1, 2), bit.bxor(5, 1), bit.bnot(0), bit.lshift(1, 31)}",
    "return {bit.rshift(-1, 28), bit.arshift(-8, 1), bit.rol(1, 33), bit.ror(1, 1), bit.bswap(1)}",
    "return bit.tohex(255)",
    "return redis.sha1hex('abc')",
    "return redis.call('SUBSCRIBE', 'a').x",
    "local r = redis.call('EVAL', 'return 1', 0) return r",
    "local r = redis.call('SET', KEYS[2], true) return r",
    "local r = redis.call() return r",
    "return #redis.call('TIME')",
    "redis.call('HSET', KEYS[2], 'a', 1, 'b', 2) return redis.call('HSCAN', KEYS[2], '0')",
    "return redis.call('HGETALL', 'none')",
    "return type(redis.call('HGET', 'none', 'a'))",
    "return unpack({1, 2, 3})",
    "return select('#', unpack(ARGV))",
    "local t = {} for w in string.gmatch('a,b,c', '[^,]+') do t[#t + 1] = w end return t",
    "return table.concat({1, 2, 3}, '-')",
    "return redis.call('ZADD', KEYS[2], 1.5, 'm') + redis.call('ZCARD', KEYS[2])",
    "redis.call('ZADD', KEYS[2], 1700000000123, 'm') return redis.call('ZSCORE', KEYS[2], 'm')",
    "return loadstring('return 1 + 1')()",
    "return os",
    "return print",
    "return python",
    "syntax error",
    "",
]


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_the_same_script_gives_the_same_reply(snippet: str, real: RealRedis) -> None:
    commands = [
        (b"SET", b"{t}text", b"x"),
        (b"EVAL", snippet.encode(), b"2", b"{t}text", b"{t}k", b"one", b"two"),
    ]
    assert embedded(commands)[1] == real.run([(b"FLUSHALL",), *commands])[2]
