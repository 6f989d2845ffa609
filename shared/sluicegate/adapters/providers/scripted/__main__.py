"""`python -m sluicegate.adapters.providers.scripted`: the scripted model as an HTTP upstream."""

import argparse
import asyncio
import signal
import sys

import uvloop

from sluicegate.adapters.providers.scripted.server import ScriptedServer


async def _serve(host: str, port: int, key: str | None) -> None:
    server = ScriptedServer(key=key)
    url = await server.start(host, port)
    sys.stdout.write(url + "\n")
    sys.stdout.flush()
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()
    await server.close()


def main() -> None:
    """Listen, print the URL on the first line, serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m sluicegate.adapters.providers.scripted")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: this machine only)"
    )
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: a free one)")
    parser.add_argument("--key", help="API key that callers must present (default: none)")
    arguments = parser.parse_args()
    uvloop.run(_serve(arguments.host, arguments.port, arguments.key))


if __name__ == "__main__":
    main()
