"""An ASGI server that says by an OSError that the client has gone (ASGI HTTP 2.4)."""

import asyncio

import pytest

from sluicegate.web.asgi import as_asgi
from sluicegate.web.exchange import ClientGoneError

SCOPE = {
    "type": "http",
    "method": "POST",
    "path": "/",
    "query_string": b"",
    "headers": [],
    "client": ("10.0.0.1", 1),
}


@pytest.mark.parametrize("fails_at", [0, 1])
async def test_a_handler_that_goes_on_meets_a_gone_client_at_its_next_write(fails_at):
    seen = []

    async def handler(exchange):
        exchange.cancel_when_gone = False
        await exchange.start(200, [])
        try:
            await exchange.write(b"piece")
        except ClientGoneError:
            seen.append("gone")
        await exchange.finish()
        seen.append("finished")

    sent = []

    async def send(message):
        if len(sent) == fails_at:
            raise OSError("the connection is closed")
        sent.append(message)

    async def receive():
        await asyncio.Event().wait()

    await as_asgi(handler)(dict(SCOPE), receive, send)
    assert seen == ["gone", "finished"]
    assert len(sent) == fails_at
