"""What the scripted model really produced, to compare with what a gateway says it cost."""

from dataclasses import asdict, dataclass, field
from typing import Any

from sluicegate.adapters.providers.scripted.script import Figures


@dataclass(slots=True)
class Totals:
    """Sums over answers. Output counts tokens whose bytes were handed to the transport.

    `requests` are answers begun with status 200; their prompt counts from then on. `aborted` are those
    of them that did not reach their end, `failures` answers with an error status.
    """

    requests: int = 0
    aborted: int = 0
    failures: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0

    def add_prompt(self, figures: Figures) -> None:
        """Count one answer's prompt; `input_tokens` leaves cached and cache-written tokens out."""
        self.requests += 1
        self.input_tokens += figures.uncached
        self.cached_input_tokens += figures.cached
        self.cache_write_tokens += figures.cache_written


@dataclass(slots=True)
class Production:
    """Totals over all and per model; at most 1 000 models are told apart, further ones as `other`."""

    total: Totals = field(default_factory=Totals)
    models: dict[str, Totals] = field(default_factory=dict)

    def begun(self, model: str, figures: Figures) -> None:
        self.total.add_prompt(figures)
        self._of(model).add_prompt(figures)

    def wrote(self, model: str, tokens: int) -> None:
        self.total.output_tokens += tokens
        self._of(model).output_tokens += tokens

    def aborted(self, model: str) -> None:
        self.total.aborted += 1
        self._of(model).aborted += 1

    def failed(self, model: str) -> None:
        self.total.failures += 1
        self._of(model).failures += 1

    def clear(self) -> None:
        self.total = Totals()
        self.models.clear()

    def as_json(self) -> dict[str, Any]:
        """The totals with `models` below them."""
        models = {model: asdict(totals) for model, totals in sorted(self.models.items())}
        return {**asdict(self.total), "models": models}

    def _of(self, model: str) -> Totals:
        totals = self.models.get(model)
        if totals is None:
            name = model if len(self.models) < 1_000 else "other"
            totals = self.models.setdefault(name, Totals())
        return totals
