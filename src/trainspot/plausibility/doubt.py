"""One doubt about a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Doubt:
    """A remark on labels or lengths that cannot be in eV and Å, or energies with different zeros.

    Attributes:
        kind: A word for programs, such as ``stress-against-energy``.
        text: What, where, and the remedy, in one line.
        factor: Factor that would correct the numbers, if it is known and sufficient.
    """

    kind: str
    text: str
    factor: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON values only."""
        return {"kind": self.kind, "text": self.text, "factor": self.factor}
