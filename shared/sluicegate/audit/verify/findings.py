"""What verification found: each fault with its place, as many as are worth reading."""

from dataclasses import dataclass, field

MOST_KEPT = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault.

    Attributes:
        place: the file, relative to what is verified.
        problem: what is wrong with it.
        index: the entry that is concerned (in an export, the row), where it is one.
    """

    place: str
    problem: str
    index: int | None = None

    def __str__(self) -> str:
        at = "" if self.index is None else f", entry {self.index}"
        return f"{self.place}{at}: {self.problem}"


@dataclass(slots=True)
class Findings:
    """Faults as they are found. All are counted, the first ones kept."""

    most: int = MOST_KEPT
    kept: list[Finding] = field(default_factory=list)
    count: int = 0

    def add(self, place: str, problem: str, index: int | None = None) -> None:
        """Note a fault."""
        self.count += 1
        if len(self.kept) < self.most:
            self.kept.append(Finding(place, problem, index))

    def extend(self, others: "Findings") -> None:
        """Note what somebody else found."""
        self.count += others.count
        self.kept += others.kept[: self.most - len(self.kept)]
