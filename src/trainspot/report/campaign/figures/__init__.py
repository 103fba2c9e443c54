"""The figures of a report; each function takes ``ReportData`` and returns a matplotlib Figure.

Figures of something a campaign does not have yet say so in the panel instead of failing.
"""

from trainspot.report.campaign.figures.counts import composition, counts
from trainspot.report.campaign.figures.judging import (
    committee_sizes,
    coverage,
    drift,
    sizes,
)
from trainspot.report.campaign.figures.quality import parity, rmse
from trainspot.report.campaign.figures.rates import (
    force_rate_maps,
    mapped,
    mapped_sizes,
    rate_maps,
    size_rate_maps,
)
from trainspot.report.campaign.figures.trust import calibration

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
