"""Sealed parts, accounted for: each is in a pack, or an entry of the log says that its pack was deleted."""

import re
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sluicegate.audit.packs import FOLDER, pack_name
from sluicegate.audit.verify.findings import Findings
from sluicegate.audit.verify.segment import Place, Sealed, Verified


class SealedParts:
    """Matches what lies in packs with what leaves say, across segments; 8 bytes for each that is gone."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._waiting: dict[int, Sealed] = {}
        self._gone: dict[Place, array[int]] = defaultdict(lambda: array("Q"))
        self._deleted: dict[Place, dict[int, int]] = defaultdict(dict)
        self.expired = 0

    def take(self, result: Verified) -> None:
        """What came of the next segment."""
        for place, parts in result.unmet.items():
            for index, digest in parts:
                found = self._waiting.pop(index, None)
                if found is None:
                    self._gone[place].append(index)
                elif found.digest != digest or (found.pack.tenant, found.pack.day) != place:
                    self._findings.add(
                        pack_name(found.pack), "what is sealed here is not this entry's", index
                    )
                else:
                    result.sealed += 1
        self._waiting.update(result.left)
        for index, tenant, payload in result.deletions:
            self._delete(index, tenant, payload)

    def finish(self, size: int, *, listed: bool) -> None:
        """All segments came: what is left over is a fault.

        Args:
            size: the log's.
            listed: whether the packs that are there are known at all.
        """
        for index, part in self._waiting.items():
            if index < size:
                self._findings.add(pack_name(part.pack), "this entry has no sealed part", index)
        if not listed:
            return
        for (tenant, day), gone in self._gone.items():
            self._account(f"{FOLDER}{tenant}/{day}", gone, self._deleted.get((tenant, day), {}))

    def _account(self, place: str, gone: Sequence[int], deleted: dict[int, int]) -> None:
        """Packs of one tenant and day have their entries one after another."""
        firsts = sorted(deleted)
        start = 0
        for at, first in enumerate(firsts):
            begin = bisect_left(gone, first)
            end = len(gone) if at + 1 == len(firsts) else bisect_left(gone, firsts[at + 1])
            if begin == end:
                continue  # said, and not done yet
            self._missing(place, gone[start:begin])
            count = deleted[first]
            if end - begin < count or gone[begin] != first:
                self._findings.add(
                    place, f"the log says that pack {first}-{count} was deleted: not all of it is gone", first
                )
            self.expired += min(count, end - begin)
            start = min(begin + count, end)
        self._missing(place, gone[start:])

    def _missing(self, place: str, gone: Sequence[int]) -> None:
        if len(gone):
            more = f" (and those of {len(gone) - 1} entries more, up to {gone[-1]})" if len(gone) > 1 else ""
            problem = f"the sealed part is missing{more}, and no entry says that it was deleted"
            self._findings.add(place, problem, gone[0])

    def _delete(self, index: int, tenant: str, payload: Any) -> None:
        try:
            day, packs = str(payload["day"]), [parse_pack(name) for name in payload["packs"]]
            known = payload["tenant"] == tenant
        except (KeyError, TypeError, ValueError):
            known = False
        if known:
            self._deleted[tenant, day].update(packs)
        else:
            self._findings.add("tile/entries", "does not say what was deleted", index)


def parse_pack(name: Any) -> tuple[int, int]:
    """First index and count of a pack, as an entry names it: `<first>-<count>`.

    Raises:
        ValueError: it does not.
    """
    match = re.fullmatch(r"(\d{1,19})-(\d{1,19})", str(name), re.ASCII)
    if match is None:
        raise ValueError(name)
    return int(match[1]), int(match[2])
