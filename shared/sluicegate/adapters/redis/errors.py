"""What can go wrong between the gateway and Redis, told apart by what the caller may do next."""

from sluicegate.kernel.errors import DependencyUnavailableError, SluicegateError

# The server is up but cannot run this now; it says so before it applies anything.
NOT_NOW = frozenset(
    {
        "BUSY",
        "CLUSTERDOWN",
        "LOADING",
        "MASTERDOWN",
        "MISCONF",
        "NOREPLICAS",
        "OOM",
        "READONLY",
        "TRYAGAIN",
    }
)
# The server wants another node asked, which needs a cluster client.
REDIRECTION = frozenset({"ASK", "CROSSSLOT", "MOVED"})
# The credentials are refused; trying again at once cannot help.
REFUSED = frozenset({"NOAUTH", "NOPERM", "WRONGPASS"})


class RedisUnavailable(DependencyUnavailableError):  # noqa: N818 - named for the state it reports
    """Redis cannot be asked now: not reachable, too slow, closed, loading, or asked too much.

    Args:
        reason: what happened, with the address; for logs. Never holds a credential.
        maybe_applied: True when the command may have run although no reply came (it was sent, then the
            time ran out or the connection broke). False means that it surely did not run.
        retry_after: seconds after which a try is worth while.

    `str()` gives the reason; `message`, which callers of the gateway may see, names no address.
    """

    def __init__(self, reason: str, *, maybe_applied: bool = False, retry_after: float = 1.0) -> None:
        super().__init__(
            "the store that keeps budgets and limits is unavailable; try again shortly",
            retry_after=retry_after,
        )
        self.reason = reason
        self.maybe_applied = maybe_applied

    def __str__(self) -> str:
        return self.reason


class RedisReplyError(SluicegateError):
    """Redis answered a command with an error. `reply` is its text, `prefix` the first word of it."""

    def __init__(self, reply: str) -> None:
        super().__init__("the store that keeps budgets and limits refused a command")
        self.reply = reply
        self.prefix = reply.partition(" ")[0]

    def __str__(self) -> str:
        return self.reply
