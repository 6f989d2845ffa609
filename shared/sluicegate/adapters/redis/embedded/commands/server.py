"""Commands about the server itself that need no more than the keyspace."""

from sluicegate.adapters.redis.embedded.commands.registry import COMMANDS, command
from sluicegate.adapters.redis.embedded.keyspace import Keyspace
from sluicegate.adapters.redis.embedded.resp import OK, CommandError, Reply, Status

# Clients look at this to choose their ways; it is the version whose behaviour is followed.
REDIS_VERSION = "7.0.15"


@command("PING", -1)
def ping(_db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    if len(words) > 2:
        raise CommandError("ERR wrong number of arguments for 'ping' command")
    return words[1] if len(words) == 2 else Status(b"PONG")


@command("ECHO", 2)
def echo(_db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return words[1]


@command("TIME", 1)
def time(db: Keyspace, _words: tuple[bytes, ...]) -> Reply:
    return [b"%d" % (db.now_us // 1_000_000), b"%d" % (db.now_us % 1_000_000)]


@command("COMMAND", -1, in_script=False)
def command_(_db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    return len(COMMANDS) if len(words) == 2 and words[1].upper() == b"COUNT" else []


@command("CONFIG", -2, in_script=False)
def config(_db: Keyspace, words: tuple[bytes, ...]) -> Reply:
    action = words[1].upper()
    if action == b"GET":
        return []
    if action == b"RESETSTAT":
        return OK
    raise CommandError("ERR the embedded server has no settings to change")


@command("WAIT", 3, in_script=False)
def wait(_db: Keyspace, _words: tuple[bytes, ...]) -> Reply:
    return 0


@command("INFO", -1)
def info(db: Keyspace, _words: tuple[bytes, ...]) -> Reply:
    lines = (
        "# Server",
        f"redis_version:{REDIS_VERSION}",
        "redis_mode:standalone",
        "server_name:sluicegate-embedded",
        "# Persistence",
        "loading:0",
        "# Replication",
        "role:master",
        "# Keyspace",
        f"db0:keys={len(db.values)},expires={len(db.deadlines)},avg_ttl=0",
    )
    return "".join(f"{line}\r\n" for line in lines).encode()
