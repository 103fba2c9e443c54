"""The figures of a campaign's page: each takes rows of numbers and returns a matplotlib Figure.

Nothing is computed here. Figures of something a campaign does not have yet say so in the panel
instead of failing.
"""

from trainspot.report.campaign.figures.counts import counts
from trainspot.report.campaign.figures.judging import committee_sizes, coverage, drift
from trainspot.report.campaign.figures.quality import parity, rmse
from trainspot.report.campaign.figures.rates import rate_maps, side_by_side
from trainspot.report.campaign.figures.trust import calibration

__all__ = [
    "calibration",
    "committee_sizes",
    "counts",
    "coverage",
    "drift",
    "parity",
    "rate_maps",
    "rmse",
    "side_by_side",
]
