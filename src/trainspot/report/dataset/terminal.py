"""A census on the terminal."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from trainspot.common.text import counted
from trainspot.report.dataset import page, tables

if TYPE_CHECKING:
    from trainspot.report.dataset.census import Census
    from trainspot.report.pages.table import Table


def show(census: Census, console: Console) -> None:
    """Print the census of a dataset."""
    labels = ", ".join(f"{count} with {name}" for name, count in census.labels.items())
    console.print(
        Text(
            f"{_printable(census.source)}: {counted(census.frames, 'frame')}, "
            f"{counted(census.atoms, 'atom')}, {labels}"
        ),
        soft_wrap=True,
    )
    listed = [
        tables.elements(census),
        tables.formulae(census, 8),
        tables.dimensions(census),
        tables.strategies(census),
        tables.refusals(census),
        tables.measures(census),
        tables.distances(census),
        tables.labels(census) if any(census.labels.values()) else None,
        tables.theories(census),
        tables.atom_energies(census),
    ]
    for table in listed:
        if table is not None and table.rows:
            console.print(_rich(table))
            console.print()
    for note in page.notes(census):
        console.print(Text(f"note: {_printable(note)}"))
    for note in census.record.notes if census.record else []:
        console.print(Text(f"augmentation: {_printable(note)}"))


def _rich(table: Table) -> RichTable:
    shown = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for place, name in enumerate(table.header):
        is_word = place < table.row_headers
        shown.add_column(Text(_printable(name)), justify="left" if is_word else "right")
    for row in table.rows:
        shown.add_row(*(Text(_printable(cell)) for cell in row))
    return shown


def _printable(text: str) -> str:
    """Text without control characters; each white space becomes one space."""
    plain = "".join(" " if unicodedata.category(c) == "Zs" else c for c in text)
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in plain)
