"""Numbers of the figures on accuracy and on the frames of each iteration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from trainspot.data.frames import SPLITS
from trainspot.report.campaign.rows import ErrorPanel, Line, ParityPanel, Step
from trainspot.report.quantities import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from trainspot.campaign.record import IterationRecord
    from trainspot.report.findings.data import ReportData
    from trainspot.report.quantities import Quantity

EXPLORED: Final = "Explored by MD"
DRAWN: Final = "Drawn from the pool"

STEPS: Final[tuple[tuple[str, Callable[[IterationRecord], int | None]], ...]] = (
    ("Newly labelled", lambda record: record.labelled),
    (EXPLORED, lambda record: record.explored),
    ("Refused by the screen", lambda record: record.refusals),
    ("Flagged: unsure or novel", lambda record: record.flagged),
    ("Selected for labelling", lambda record: record.selected),
    ("Audit: drawn at random", lambda record: record.audit),
)
"""Titles of the counts of an iteration, in the order in which they arise."""


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
    rows = [(record.n, record.error(split, quantity.key)) for record in data.records]
    return _line((n, error.mean, error.std) for n, error in rows if error)


def _common(data: ReportData, quantity: Quantity) -> Line | None:
    rows = [(record.n, (record.common_test or {}).get(quantity.key)) for record in data.records]
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
    """Number of frames in each step of each iteration."""
    records = data.records
    source = DRAWN if data.draws_from_pool else EXPLORED
    counted = ((title, [(record.n, count(record)) for record in records]) for title, count in STEPS)
    return [
        Step(
            source if title == EXPLORED else title,
            [(n, count) for n, count in counts if count is not None],
        )
        for title, counts in counted
    ]
