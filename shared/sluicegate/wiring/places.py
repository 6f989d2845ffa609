"""Where things lie in a data folder."""

from pathlib import Path

DEFAULT_DATA = Path(".sluicegate")
DATABASE_NAME = "sluicegate.db"
BUS_NAME = "bus.db"
TOKEN_KEY_NAME = "token-key.pem"  # noqa: S105 - the name of a file, not its content
ENVIRONMENT_NAME = "dev.env"
LOG_FOLDER_NAME = "log"
AUDIT_INDEX_NAME = "audit.db"
DATA_KEYS_NAME = "audit-keys.db"
KEYS_FOLDER_NAME = "keys"
ORIGIN_NAME = "log-origin"
POLICY_RECORD_NAME = "policies-told.json"
