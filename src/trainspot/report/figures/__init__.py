"""The figures of a report; each function takes ``ReportData`` and returns a matplotlib Figure.

Figures of something a campaign does not have yet say so in the panel instead of failing.
"""

from trainspot.report.figures.counts import composition, counts
from trainspot.report.figures.judging import (
    committee_sizes,
    coverage,
    drift,
    sizes,
)
from trainspot.report.figures.quality import parity, rmse
from trainspot.report.figures.rates import (
    force_rate_maps,
    mapped,
    mapped_sizes,
    rate_maps,
    size_rate_maps,
)
from trainspot.report.figures.trust import calibration

__all__ = [
    "calibration",
    "committee_sizes",
    "composition",
    "counts",
    "coverage",
    "drift",
    "force_rate_maps",
    "mapped",
    "mapped_sizes",
    "parity",
    "rate_maps",
    "rmse",
    "size_rate_maps",
    "sizes",
]
