"""What a verification says in the end."""

from dataclasses import asdict, dataclass, field
from typing import Any

from sluicegate.audit.verify.findings import Findings


@dataclass(slots=True)
class Report:
    """What was verified, how much of it, and what is wrong.

    Attributes:
        target: what was asked for.
        kind: `log` or `export`.
        origin: the log's name.
        size: entries that the log had at the checkpoint.
        root: its root hash then, base64.
        key: the key that all trust rests on, as `<name>+<id>+<base64>`.
        key_from: where the key came from. With one from the target itself it only agrees with itself.
        checked: how many of what.
        notes: what is good to know and is no fault.
    """

    target: str
    kind: str
    origin: str = ""
    size: int = 0
    root: str = ""
    key: str = ""
    key_from: str = ""
    checked: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    findings: Findings = field(default_factory=Findings)

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings.count

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        content = asdict(self)
        content["findings"] = [asdict(each) for each in self.findings.kept]
        return {"holds": self.holds, **content, "faults": self.findings.count}
