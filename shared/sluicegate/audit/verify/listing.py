"""What lies in a log's folder, sorted by what it is: nothing may be there that does not belong to the log."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from sluicegate.audit.batches import FOLDER as STAGING
from sluicegate.audit.errors import MalformedError
from sluicegate.audit.packs import FOLDER as PACKS
from sluicegate.audit.packs import parse_pack_name
from sluicegate.audit.ports import PackRow
from sluicegate.audit.publishing import FOLDER as CHECKPOINTS
from sluicegate.audit.publishing import LATEST
from sluicegate.audit.state import STATE
from sluicegate.audit.tiles import TILE_WIDTH, Bundle, Tile, parse_path
from sluicegate.audit.verify.findings import Findings
from sluicegate.audit.verify.trusted_keys import NAME as KEYS

_SINGLE = frozenset({LATEST, STATE, KEYS})

Widths = dict[int, list[int]]


@dataclass(slots=True)
class Listing:
    """A log's files.

    Attributes:
        bundles: widths of partial bundles, by index.
        tiles: widths of partial tiles, by level and index.
        checkpoints: sizes of kept checkpoints.
        packs: sealed parts, in order of their first entry.
        staged: names of staged batches.
        reach: the size of log that the largest tile, bundle and pack belong to, and which file that is.
    """

    bundles: Widths = field(default_factory=lambda: defaultdict(list))
    tiles: dict[int, Widths] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    checkpoints: list[int] = field(default_factory=list)
    packs: list[PackRow] = field(default_factory=list)
    staged: list[str] = field(default_factory=list)
    reach: tuple[int, str] = (0, "")

    def take(self, names: Iterable[str], findings: Findings) -> None:
        """Sort all files of a log in."""
        for name in names:
            if not self._take(name):
                findings.add(name, "does not belong to a log")
        self.packs.sort(key=lambda pack: (pack.first, pack.tenant, pack.day))
        self.checkpoints.sort()

    def _take(self, name: str) -> bool:
        try:
            if name.startswith("tile/"):
                self._tile(name)
            elif name.startswith(PACKS):
                pack = parse_pack_name(name)
                self.packs.append(pack)
                self._reached(pack.first + pack.count, name)
            elif name.startswith(CHECKPOINTS):
                size = int(name.removeprefix(CHECKPOINTS))
                self.checkpoints.append(size)
                return name == f"{CHECKPOINTS}{size}"
            elif name.startswith(STAGING):
                self.staged.append(name)
            else:
                return name in _SINGLE
        except (MalformedError, ValueError):
            return False
        return True

    def _tile(self, name: str) -> None:
        place = parse_path(name)
        if place.width < TILE_WIDTH:
            widths = self.bundles if isinstance(place, Bundle) else self.tiles[place.level]
            widths[place.index].append(place.width)
        level = place.level if isinstance(place, Tile) else 0
        self._reached((place.index * TILE_WIDTH + place.width) << 8 * level, name)

    def _reached(self, size: int, name: str) -> None:
        self.reach = max(self.reach, (size, name))
