"""Sums over rows, for reports over long times: `tenants/{tenant}/spend/{random id}`, one with each commit.

A commit that stores rows also stores what they add to the sums of their hour, by every combination of
dimensions that is among them: some hundred rows in one document. Nothing is ever added to a document, so
none is hot and none is counted twice: it is there exactly if its rows are. A row that is replaced is taken
off again, by amounts below zero.
"""

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sluicegate.adapters.gcp.firestore.documents import Change, Create, Document, digest_id, tenant_path
from sluicegate.adapters.gcp.firestore.layout import DIMENSIONS, SPEND, shard
from sluicegate.adapters.gcp.firestore.spend_sums import SUMMED, Part, amounts

HOUR_S = 3_600

# Below the mebibyte that a document may have.
_MOST_BYTES = 512 * 1024

Cell = tuple[str | None, ...]


class SpendChange:
    """What a commit changes of one tenant's sums."""

    def __init__(self, tenant: str) -> None:
        self._tenant = tenant
        self._hours: dict[int, dict[str, list[int | float]]] = {}

    def add(self, row: Mapping[str, Any], sign: int = 1) -> None:
        """Count a row (`sign` 1), or take it off (-1)."""
        cells = self._hours.setdefault(hour_of(row["at"]), {})
        cell = cells.setdefault(json.dumps([row[name] for name in DIMENSIONS]), [0] * len(SUMMED))
        for place, amount in enumerate(amounts(row)):
            cell[place] += sign * amount

    def writes(self) -> list[Create]:
        """The documents that say so."""
        return [self._document(hour, cells) for hour, whole in self._hours.items() for cells in _parts(whole)]

    def _document(self, hour: int, cells: Mapping[str, list[int | float]]) -> Create:
        name = digest_id(secrets.token_hex(16))
        content = [[json.loads(names), sums] for names, sums in cells.items()]
        return Create(
            tenant_path(self._tenant, SPEND, name), {"hour": hour, "shard": shard(name), **_content(content)}
        )


def hour_of(at: float) -> int:
    """The hour, counted from the epoch, that a moment is in."""
    return int(at // HOUR_S)


def parts_of(document: Document) -> Iterator[Part]:
    """What a document says."""
    at = float(document.fields["hour"] * HOUR_S)
    for names, summed in json.loads(document.fields["cells"]):
        yield Part(at, dict(zip(DIMENSIONS, names, strict=True)), summed)


def renamed(document: Document, person: str | None, name: str) -> Change:
    """The document with `name` for the user `person`; for every user where None."""
    place = DIMENSIONS.index("user")
    content = json.loads(document.fields["cells"])
    for names, _ in content:
        if person is None or names[place] == person:
            names[place] = name
    return Change(document.path, _content(content), document.version)


def _content(cells: Iterable[Any]) -> dict[str, Any]:
    content = list(cells)
    place = DIMENSIONS.index("user")
    return {
        "cells": json.dumps(content, ensure_ascii=False, separators=(",", ":")),
        # By which an erasure finds it.
        "users": sorted({names[place] for names, _ in content}),
    }


def _parts(cells: Mapping[str, list[int | float]]) -> Iterator[dict[str, list[int | float]]]:
    """Cells in as many parts as documents can hold."""
    part: dict[str, list[int | float]] = {}
    size = 0
    for names, summed in cells.items():
        # Each number takes 20 characters at most, and text that is not ASCII takes less than it does here.
        more = len(names) + 24 * len(SUMMED)
        if part and size + more > _MOST_BYTES:
            yield part
            part, size = {}, 0
        part[names] = summed
        size += more
    if part:
        yield part
