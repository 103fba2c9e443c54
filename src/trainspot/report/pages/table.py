"""A table as text ready to print."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

NONE: Final = "–"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under a header; the first ``row_headers`` cells of a row name it.

    Attributes:
        caption: Content of the table, with units.
        header: Column names.
        rows: One list for each row, as long as the header.
        row_headers: Number of cells with words, aligned left; the other cells are numbers.
    """

    caption: str
    header: list[str]
    rows: list[list[str]] = field(default_factory=list)
    row_headers: int = 1
