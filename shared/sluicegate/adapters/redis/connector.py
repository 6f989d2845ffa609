"""Opens connections to Redis: over TCP, TLS or a Unix socket, logged in and proven to answer."""

import asyncio
import ssl
from collections.abc import Callable
from functools import lru_cache
from typing import cast

from sluicegate.adapters.redis.address import RedisAddress
from sluicegate.adapters.redis.connection import Connection
from sluicegate.adapters.redis.errors import RedisReplyError, RedisUnavailable
from sluicegate.kernel.errors import ConfigurationError


async def connect(
    address: RedisAddress,
    timeout_s: float,
    connect_timeout_s: float,
    on_lost: Callable[[Connection, str], None],
) -> Connection:
    """A connection that is ready for commands.

    Raises:
        RedisUnavailable: too slow, refused, or TLS is misconfigured; nothing is left open.
    """
    loop = asyncio.get_running_loop()
    connection: Connection | None = None

    def factory() -> Connection:
        nonlocal connection
        connection = Connection(timeout_s, on_lost, str(address))
        return connection

    try:
        async with asyncio.timeout(connect_timeout_s):
            if address.path:
                await loop.create_unix_connection(factory, address.path)
            else:
                context = _tls_context(address) if address.tls else None
                await loop.create_connection(factory, address.host, address.port, ssl=context)
            await cast("Connection", connection).open(address)
    except BaseException as error:
        if connection is not None:
            connection.abort("could not be opened")
        if isinstance(error, TimeoutError):
            reason = f"{address}: cannot connect within {connect_timeout_s:g} s"
        elif isinstance(error, OSError):
            reason = f"{address}: cannot connect: {error.strerror or error}"
        elif isinstance(error, RedisReplyError | RedisUnavailable | ConfigurationError | UnicodeError):
            reason = str(error)
        else:
            raise
        raise RedisUnavailable(reason) from error
    return cast("Connection", connection)


@lru_cache(maxsize=8)
def _tls_context(address: RedisAddress) -> ssl.SSLContext:
    return address.tls_context()
