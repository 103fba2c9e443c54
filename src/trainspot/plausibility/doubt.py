"""One thing about a dataset that cannot be as it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Doubt:
    """A remark on labels or geometry that cannot be in eV and Å, or not all of one zero.

    Attributes:
        kind: A word for programs, such as ``stress-against-energy``.
        text: What, where, and what would repair it, one line.
        factor: What would multiply the numbers to repair them, if that is all and is known.
    """

    kind: str
    text: str
    factor: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON values only."""
        return {"kind": self.kind, "text": self.text, "factor": self.factor}
