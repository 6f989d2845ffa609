"""A process that is to run as long as this one does."""

import subprocess
import threading
from collections.abc import Sequence

from sluicegate.cli.output import warn

STOP_WITHIN_S = 5.0


class KeptProcess:
    """Runs `command` from now until `stop`; started again, `pause_s` seconds later, whenever it ends.

    Args:
        what: what it is called in the warning that it ended.
    """

    def __init__(self, command: Sequence[str], what: str, pause_s: float = 1.0) -> None:
        self._command = list(command)
        self._what = what
        self._pause_s = pause_s
        self._stopping = threading.Event()
        self._started = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        # One thread starts it each time: to the kernel, the thread that forked is the parent it dies with.
        self._thread = threading.Thread(target=self._keep, name=f"keeps {what}", daemon=True)
        self._thread.start()
        self._started.wait()

    def stop(self) -> None:
        """Terminate the process and wait for it; killed after five seconds."""
        self._stopping.set()
        process = self._process
        if process is not None:
            process.terminate()
            try:
                process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
        self._thread.join()

    def _keep(self) -> None:
        while not self._stopping.is_set():
            try:
                # In a session of its own, so that Ctrl-C reaches whoever stops it in order.
                self._process = subprocess.Popen(  # noqa: S603 - our own command
                    self._command, stdin=subprocess.DEVNULL, start_new_session=True
                )
            finally:
                self._started.set()
            if self._stopping.is_set():
                self._process.terminate()
            status = self._process.wait()
            if not self._stopping.is_set():
                warn(f"{self._what} ended (status {status}) and is started again")
                self._stopping.wait(self._pause_s)
