"""The schemas of all event types' data, as JSON Schema (draft 2020-12)."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from sluicegate.kernel.events import EVENT_TYPES

_FOLDER = Path(__file__).parent / "schemas"
_PREFIX = "dev.sluicegate."


@cache
def data_schema(kind: str) -> dict[str, Any]:
    """The schema of the data of events of type `kind`, read once per process.

    Raises:
        KeyError: there is no such type.
    """
    if kind not in EVENT_TYPES:
        raise KeyError(kind)
    path = _FOLDER / f"{kind.removeprefix(_PREFIX)}.json"
    schema: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return schema
