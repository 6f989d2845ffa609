"""Runs the embedded server: `python -m sluicegate.adapters.redis.embedded --socket PATH --data DIR`."""

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from sluicegate.adapters.redis.embedded.parent import die_with_parent
from sluicegate.adapters.redis.embedded.server import EmbeddedServer
from sluicegate.kernel.errors import ConfigurationError


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT. Exit status: 0 stopped, 1 the disk failed, 2 cannot start."""
    parser = argparse.ArgumentParser(prog="python -m sluicegate.adapters.redis.embedded", description=__doc__)
    parser.add_argument("--socket", type=Path, help="listen on this Unix socket")
    parser.add_argument("--port", type=int, help="listen on this port of 127.0.0.1; 0 lets the system choose")
    parser.add_argument("--data", type=Path, help="keep the state in this folder; without it, in memory only")
    parser.add_argument("--sync-every", type=float, default=1.0, metavar="SECONDS", help="default: 1")
    parser.add_argument("--parent", type=int, metavar="PID", help="end when this parent process ends (Linux)")
    options = parser.parse_args(arguments)
    if options.socket is None and options.port is None:
        parser.error("give --socket, --port, or both")
    logging.basicConfig(level=logging.INFO, format="embedded redis: %(levelname)s: %(message)s")
    if options.parent is not None and not die_with_parent(options.parent):
        return 0
    try:
        return asyncio.run(_serve(options.socket, options.port, options.data, options.sync_every))
    except (ConfigurationError, OSError) as error:
        sys.stderr.write(f"embedded redis: {error}\n")
        return 2


async def _serve(socket: Path | None, port: int | None, data: Path | None, sync_every_s: float) -> int:
    server = EmbeddedServer(data, sync_every_s=sync_every_s)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    bound = await server.start(socket=socket, port=port)
    # Whoever started this process reads the address from here.
    url = f"unix://{socket}" if socket is not None else f"redis://127.0.0.1:{bound}/0"
    sys.stdout.write(f"ready {url}\n")
    sys.stdout.flush()
    waits = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(server.failed.wait())]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    await server.stop()
    return 1 if server.failed.is_set() else 0


if __name__ == "__main__":
    sys.exit(main())
