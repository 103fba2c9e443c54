"""Counts of frames: in the steps of an iteration, and by strategy in the final dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainspot.data.frames import SPLITS

if TYPE_CHECKING:
    from trainspot.report.findings.data import ReportData


def composition_table(data: ReportData) -> dict[str, dict[str, int]]:
    """Labelled frames counted by strategy, most frequent first, then by split."""
    frames = data.dataset.labelled()
    strategies = [value.decode() for value in frames.column("strategy").tolist()]
    table: dict[str, dict[str, int]] = {}
    for strategy, split in zip(strategies, frames.column("split").tolist(), strict=True):
        row = table.setdefault(strategy, {})
        name = ("none", *SPLITS)[split]
        row[name] = row.get(name, 0) + 1
    return dict(sorted(table.items(), key=lambda item: (-sum(item[1].values()), item[0])))
