"""Where things lie in a data folder."""

from pathlib import Path

DEFAULT_DATA = Path(".sluicegate")
DATABASE_NAME = "sluicegate.db"
BUS_NAME = "bus.db"
TOKEN_KEY_NAME = "token-key.pem"  # noqa: S105 - the name of a file, not its content
ENVIRONMENT_NAME = "dev.env"
