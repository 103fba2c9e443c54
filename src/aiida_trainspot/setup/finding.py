"""What the set-up of one thing came to."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One row of the table of ``trainspot setup``.

    Attributes:
        item: What was looked for.
        state: ``found`` as it was, ``made`` now, or ``missing``.
        detail: Where or what it is; for what is missing, why.
        hint: What to do about something missing.
    """

    item: str
    state: Literal["found", "made", "missing"]
    detail: str = ""
    hint: str = ""

    def to_dict(self) -> dict[str, str]:
        """As JSON."""
        return asdict(self)
