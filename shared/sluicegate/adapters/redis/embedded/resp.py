"""Replies: as Python values, and as RESP2 on the wire."""

from sluicegate.kernel.errors import SluicegateError


class Status(bytes):
    """A status reply (`+OK`), as opposed to a string."""

    __slots__ = ()


class RawReply(bytes):
    """A reply that is RESP already."""

    __slots__ = ()


class CommandError(SluicegateError):
    """A command's error reply; the text starts with its prefix (`ERR`, `WRONGTYPE`)."""


# What a command returns: an integer, a string, nothing, a status, an error inside a list, or a list of these.
Reply = int | bytes | list["Reply"] | CommandError | None

OK = Status(b"OK")
WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"
NOT_INTEGER = "ERR value is not an integer or out of range"
NOT_FLOAT = "ERR value is not a valid float"
SYNTAX = "ERR syntax error"


def encode(reply: Reply, out: list[bytes]) -> None:
    """Append `reply` to `out` as RESP2."""
    if reply is None:
        out.append(b"$-1\r\n")
    elif isinstance(reply, bytes):
        if type(reply) is bytes:
            out.append(b"$%d\r\n%b\r\n" % (len(reply), reply))
        elif isinstance(reply, RawReply):
            out.append(reply)
        else:
            out.append(b"+%b\r\n" % reply)
    elif isinstance(reply, int):
        out.append(b":%d\r\n" % reply)
    elif isinstance(reply, CommandError):
        out.append(b"-%b\r\n" % reply.message.replace("\r", " ").replace("\n", " ").encode())
    else:
        out.append(b"*%d\r\n" % len(reply))
        for item in reply:
            encode(item, out)
