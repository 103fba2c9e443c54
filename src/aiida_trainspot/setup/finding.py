"""The result of one step of the set-up."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One row of the table of ``trainspot setup``.

    Attributes:
        item: The item of the set-up.
        state: ``found`` if it existed, ``made`` if it is new, or ``missing``.
        detail: Path or description of the item, or the reason why it is missing.
        hint: What to do if the item is missing.
    """

    item: str
    state: Literal["found", "made", "missing"]
    detail: str = ""
    hint: str = ""

    def to_dict(self) -> dict[str, str]:
        """As JSON."""
        return asdict(self)
