"""What a diagnosis finds."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "wrong", "unused"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        state: `wrong` keeps something from working, `warning` may; `unused` is not set up, maybe on purpose.
        mend: the command or setting that mends it.
    """

    about: str
    state: State
    says: str
    mend: str | None = None
