"""Google's API discovery documents, as they ship inside google-api-python-client."""

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any


class UndocumentedError(Exception):
    """There is no such document or schema; the message names it."""


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema within a document. `name` is its own, or the path to it where it has none."""

    document: str
    name: str
    node: dict[str, Any]

    @property
    def properties(self) -> dict[str, Any]:
        found: dict[str, Any] = self.node.get("properties", {})
        return found

    def child(self, name: str) -> "Schema | None":
        """The schema of property `name`; None if it has no such property."""
        node = self.properties.get(name)
        return None if node is None else self._resolve(node, f"{self.name}.{name}")

    def items(self) -> "Schema":
        """The schema of an array's items."""
        return self._resolve(self.node["items"], f"{self.name}[]")

    def values(self) -> "Schema | None":
        """The schema of a map's values; None if this is no map."""
        node = self.node.get("additionalProperties")
        return None if node is None else self._resolve(node, f"{self.name}.*")

    def _resolve(self, node: dict[str, Any], name: str) -> "Schema":
        if "$ref" not in node:
            return Schema(self.document, name, node)
        found = schema(self.document, node["$ref"])
        # What is said where it is used (Required, Output only) counts there.
        return Schema(
            self.document, found.name, {**found.node, **{k: v for k, v in node.items() if k != "$ref"}}
        )


def schema(document: str, name: str) -> Schema:
    """Schema `name` of `document` (`run.v2`).

    Raises:
        UndocumentedError: there is none.
    """
    schemas = _document(document)["schemas"]
    if name not in schemas:
        raise UndocumentedError(f"{document} has no schema {name}")
    return Schema(document, name, schemas[name])


@lru_cache(maxsize=64)
def _document(name: str) -> dict[str, Any]:
    package = find_spec("googleapiclient")
    if package is None or package.origin is None:
        raise UndocumentedError("google-api-python-client is not installed; pip install --group dev .")
    path = Path(package.origin).parent / "discovery_cache" / "documents" / f"{name}.json"
    if not path.is_file():
        raise UndocumentedError(f"google-api-python-client ships no document {name}")
    read: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return read
