"""Counting frames: through the steps of an iteration, and by strategy in the final dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainspot.report.pages.style import SETS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainspot.report.findings.data import ReportData


def count_of(record: Mapping[str, Any], key: str) -> int | None:
    """A count of an iteration record, summed over reasons where there are some."""
    value = record.get(key)
    if isinstance(value, dict):
        return sum(int(one) for one in value.values())
    return None if value is None else int(value)


def composition_table(data: ReportData) -> dict[str, dict[str, int]]:
    """Labelled frames counted by strategy, most frequent first, then by set."""
    frames = data.dataset.labelled()
    strategies = [value.decode() for value in frames.column("strategy").tolist()]
    table: dict[str, dict[str, int]] = {}
    for strategy, split in zip(strategies, frames.column("split").tolist(), strict=True):
        row = table.setdefault(strategy, {})
        name = ("none", *SETS)[split]
        row[name] = row.get(name, 0) + 1
    return dict(sorted(table.items(), key=lambda item: (-sum(item[1].values()), item[0])))
