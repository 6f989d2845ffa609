"""The log's own state and staged batches: what its sequencer works with, beside the log proper."""

from sluicegate.audit.batches import FOLDER, Batch
from sluicegate.audit.errors import CorruptLogError
from sluicegate.audit.state import STATE, LogState
from sluicegate.audit.verify.findings import Findings
from sluicegate.audit.verify.source import LogSource


class Pending:
    """The state, if there is one and it is good, and the batch that it names."""

    name = STATE

    def __init__(self, source: LogSource, findings: Findings) -> None:
        self._source = source
        self._findings = findings
        self.state: LogState | None = None
        content = source.read(STATE)
        if content is not None:
            try:
                self.state = LogState.decode(content)
            except CorruptLogError as error:
                findings.add(STATE, error.message)

    def reach(self) -> int:
        """The size that the log gets with what is staged; every staged batch is checked on the way."""
        reach = 0
        for name in self._source.names(FOLDER) or ():
            content = self._source.read(name)
            if content is None:
                continue
            try:
                batch = Batch.decode(name, content)
            except (CorruptLogError, ValueError):
                self._findings.add(name, "is not the staged batch that its name says")
                continue
            if self.state is not None and name == self.state.pending:
                reach = batch.size
        return reach
