"""`python -m benchmarks.passthrough PORT UPSTREAM`: our server and our client with nothing between them.

What the gateway's other parts cost is the distance to this; what our server and client cost, the distance
from this to nginx.
"""

import asyncio
import gc
import sys

import uvloop

from sluicegate.adapters.web.http_client import HttpClient
from sluicegate.web.exchange import Exchange
from sluicegate.web.server import serve

MAX_BODY = 1 << 20


async def _run(port: int, upstream: str) -> None:
    client = HttpClient()
    endpoint = client.endpoint("POST", upstream, [(b"content-type", b"application/json")])

    async def handle(exchange: Exchange) -> None:
        body = await exchange.body(MAX_BODY)
        reply = await endpoint.send((), body, connect_s=5, first_byte_s=60, idle_s=60, total_s=290)
        content = reply.headers.get(b"content-type", b"application/json")
        try:
            if content.startswith(b"application/json"):
                await exchange.respond(reply.status, [(b"content-type", content)], await reply.read())
                return
            await exchange.start(reply.status, [(b"content-type", content)])
            async for chunk in reply.chunks():
                await exchange.write(chunk)
            await exchange.finish()
        finally:
            reply.close()

    await serve(handle, host="127.0.0.1", port=port)
    gc.collect()
    gc.freeze()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_run(int(sys.argv[1]), sys.argv[2]))
