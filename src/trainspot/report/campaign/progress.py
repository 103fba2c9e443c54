"""Numbers behind the figures on accuracy and on the frames of each iteration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from trainspot.data.frames import SPLITS
from trainspot.report.campaign.rows import ErrorPanel, Line, ParityPanel, Step
from trainspot.report.findings.counts import count_of
from trainspot.report.quantities import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trainspot.report.findings.data import ReportData
    from trainspot.report.quantities import Quantity

STEPS: Final = (
    ("labelled", "Newly labelled"),
    ("explored", "Explored by MD"),
    ("refused", "Refused by the screen"),
    ("flagged", "Flagged: unsure or novel"),
    ("selected", "Selected for labelling"),
    ("audit", "Audit: drawn at random"),
)
"""Counts of an iteration record, in the order in which they arise, with their titles."""


def errors(data: ReportData) -> list[ErrorPanel]:
    """RMSE of the members by iteration and split, and on the final test frames."""
    return [
        ErrorPanel(
            quantity,
            {name: line for name in SPLITS if (line := _members(data, name, quantity)) is not None},
            _common(data, quantity),
            data.tolerance.get(quantity.key),
        )
        for quantity in QUANTITIES
    ]


def _members(data: ReportData, split: str, quantity: Quantity) -> Line | None:
    rows = [
        (r["n"], r.get("rmse", {}).get(split, {}).get(quantity.key) or {}) for r in data.records
    ]
    return _line((n, one["mean"], one.get("std", 0.0)) for n, one in rows if "mean" in one)


def _common(data: ReportData, quantity: Quantity) -> Line | None:
    rows = [(r["n"], (r.get("common_test") or {}).get(quantity.key)) for r in data.records]
    return _line((n, value, 0.0) for n, value in rows if value is not None)


def _line(points: Iterable[tuple[int, float, float]]) -> Line | None:
    listed = list(points)
    return Line(*np.array(listed, dtype=np.float64).T) if listed else None


def parity(data: ReportData) -> list[ParityPanel]:
    """Predictions of the latest committee against references."""
    last = data.last_predictions
    return [
        ParityPanel(quantity, {} if last is None else data.clouds(last, quantity.key))
        for quantity in QUANTITIES
    ]


def steps(data: ReportData) -> list[Step]:
    """How many frames went through each step of each iteration."""
    counted = {key: [(int(r["n"]), count_of(r, key)) for r in data.records] for key, _ in STEPS}
    return [
        Step(title, [(n, count) for n, count in counted[key] if count is not None])
        for key, title in STEPS
    ]
