"""Structured logs: one JSON object a line on standard error, in Cloud Logging's field names.

No request or answer content is ever logged, nor a credential; a request is known by its id.
"""

import atexit
import logging
from typing import Any

import orjson

from sluicegate.kernel.telemetry.access import ACCESS, timestamp
from sluicegate.kernel.telemetry.lines import LINES, LineWriter

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_LEVELS = {"WARNING": "WARNING", "ERROR": "ERROR", "CRITICAL": "CRITICAL", "INFO": "INFO", "DEBUG": "DEBUG"}


class JsonFormatter(logging.Formatter):
    """Formats a record, with whatever `extra` it carries, as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": timestamp(record.created),
            "severity": _LEVELS.get(record.levelname, "DEFAULT"),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update((key, value) for key, value in record.__dict__.items() if key not in _STANDARD)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


class LinesHandler(logging.Handler):
    """Sends records to `lines`, so that nothing that logs waits for whoever reads the log."""

    def __init__(self, lines: LineWriter) -> None:
        super().__init__()
        self._lines = lines
        self.setFormatter(JsonFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        """Write `record`."""
        try:
            self._lines.write(f"{self.format(record)}\n".encode(), error=record.levelno >= logging.ERROR)
        except Exception:  # noqa: BLE001 - as every handler: a log line that cannot be written stops nothing
            self.handleError(record)


def configure(level: str) -> None:
    """Send all logs of `level` and above to standard error as JSON lines."""
    handler = LinesHandler(LINES)
    atexit.unregister(LINES.flush)
    atexit.register(LINES.flush)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    ACCESS.enabled = root.isEnabledFor(logging.INFO)
