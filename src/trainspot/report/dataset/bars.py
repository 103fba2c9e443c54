"""From the histograms of a census to the bars of its figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from trainspot.report.dataset.rows import Bars

if TYPE_CHECKING:
    from trainspot.report.dataset.bins import Histogram
    from trainspot.report.dataset.census import Census

MOST_PAIRS: Final = 12
"""Pairs of elements that have a panel of their own."""

_BINS: Final = 60
_TAIL: Final = 0.001  # share left out on either side if it would flatten the rest


def bars(histogram: Histogram, *, logarithmic: bool = False, whole: bool = False) -> Bars | None:
    """The bars of a histogram, ``None`` without values.

    Args:
        histogram: Values, or their log10.
        logarithmic: Whether the histogram has log10 of the values.
        whole: Whether the values are whole numbers; a bar of width 1 is then centred on its number.
    """
    if not histogram.count:
        return None
    low, high = _range(histogram)
    fine = histogram.joined(2048)
    while (high - low) / fine.width > _BINS:
        fine = fine.joined(max(1, len(fine.counts) - 1))
    edges = 10.0**fine.edges if logarithmic else fine.edges
    if whole and fine.width == 1:
        edges = edges - 0.5
    limits, beyond = None, 0
    if (low, high) != (histogram.least, histogram.largest):
        start = max(0, int(np.searchsorted(fine.edges, low, "right")) - 1)
        stop = int(np.searchsorted(fine.edges, high, "left"))
        limits = float(edges[start]), float(edges[min(stop, len(edges) - 1)])
        beyond = histogram.count - int(fine.counts[start:stop].sum())
    decades = float(fine.edges[-1] - fine.edges[0]) if logarithmic else 0.0
    return Bars(edges, fine.counts, limits, beyond, logarithmic, decades)


def by_pair(census: Census) -> dict[str, Bars]:
    """Distances to nearest neighbours of the most frequent pairs of elements, Å."""
    histograms = census.distances.histograms()
    names = sorted(histograms, key=lambda name: -histograms[name].count)[:MOST_PAIRS]
    pairs = {name: bars(histogram) for name, histogram in histograms.items() if name in names}
    return {name: pair_bars for name, pair_bars in pairs.items() if pair_bars is not None}


def _range(histogram: Histogram) -> tuple[float, float]:
    """The range to show: all values, unless a few values lie far outside."""
    low, high = histogram.quantile(_TAIL), histogram.quantile(1 - _TAIL)
    span = max(high - low, histogram.width)
    least = low if histogram.least < low - span / 2 else histogram.least
    largest = high if histogram.largest > high + span / 2 else histogram.largest
    return least, largest
