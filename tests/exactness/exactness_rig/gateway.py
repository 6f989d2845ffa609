"""One gateway process: `python -m exactness_rig.gateway PORT`; prints its port once it listens."""

import sys

from sluicegate.web.gateway.service import run_service
from sluicegate.web.server.server import Server
from sluicegate.wiring.gateway import gateway


def _started(server: Server) -> None:
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    run_service(gateway(), host="127.0.0.1", port=int(sys.argv[1]), drain_s=6.0, started=_started)
