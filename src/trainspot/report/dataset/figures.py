"""The figures of a dataset: how large, how dense, how close, which energies and forces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from matplotlib.ticker import MaxNLocator

from trainspot.report.pages.panels import absent, plain_log
from trainspot.report.pages.style import BAR, new, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from trainspot.report.dataset.bins import Histogram
    from trainspot.report.dataset.census import Census

MOST_PAIRS: Final = 12
"""Pairs of elements that have a panel of their own."""

_BINS: Final = 60
_TAIL: Final = 0.001  # left out on either side where it would flatten the rest


@styled
def sizes(census: Census) -> Figure:
    """Atoms in a frame, volume per atom and density."""
    figure = new(2.5)
    for axes, histogram, title, label, what in zip(
        figure.subplots(1, 3),
        (census.sizes, census.volume, census.density),
        ("Size", "Volume per atom", "Density"),
        ("Atoms in a frame", "Å³", "g/cm³"),
        ("Frames", "Frames", "Frames"),
        strict=True,
    ):
        bars(axes, histogram, label, what, "no frame is periodic in three directions")
        axes.set_title(title)
    return figure


@styled
def distances(census: Census) -> Figure:
    """Distance to the nearest neighbour, a panel for each pair of elements."""
    found = census.distances.histograms()
    names = sorted(found, key=lambda name: -found[name].count)[:MOST_PAIRS]
    shown = {name: found[name] for name in found if name in names}
    columns = min(3, max(1, len(shown)))
    rows = -(-max(1, len(shown)) // columns)
    figure = new(2.3 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for axes, (name, histogram) in zip(panels, shown.items(), strict=False):
        bars(axes, histogram, "Å", "Atoms", "")
        axes.set_title(name)
    for axes in panels:
        axes.set_axis_off()
    return figure


@styled
def labels(census: Census) -> Figure:
    """Energies per atom and lengths of forces."""
    figure = new(2.7)
    left, right = figure.subplots(1, 2)
    energies, relative = census.energies
    label = "eV/atom, relative to isolated atoms" if relative else "eV/atom"
    bars(left, energies, label, "Frames", "no energies of more than one atom")
    left.set_title("Energy")
    bars(right, census.forces, "eV/Å", "Atoms", "no forces", logarithmic=True)
    right.set_title("Length of the force on an atom")
    return figure


def bars(
    axes: Axes,
    histogram: Histogram,
    label: str,
    what: str,
    empty: str,
    *,
    logarithmic: bool = False,
) -> None:
    """A histogram; values beyond 99.8 % that would flatten the rest are counted in words."""
    if not histogram.count:
        absent(axes, empty)
        return
    low, high = _range(histogram)
    fine = histogram.joined(2048)
    while _bins_between(fine, low, high) > _BINS:
        fine = fine.joined(max(1, len(fine.counts) - 1))
    edges = 10.0**fine.edges if logarithmic else fine.edges
    axes.stairs(fine.counts, edges, fill=True, color=BAR)
    if (low, high) != (histogram.least, histogram.largest):
        start = max(0, int(np.searchsorted(fine.edges, low, "right")) - 1)
        stop = int(np.searchsorted(fine.edges, high, "left"))
        beyond = histogram.count - int(fine.counts[start:stop].sum())
        axes.set_xlim(edges[start], edges[min(stop, len(edges) - 1)])
        axes.text(
            0.99,
            0.97,
            f"{beyond} beyond",
            transform=axes.transAxes,
            ha="right",
            va="top",
            fontsize=8.0,
        )
    axes.set(xlabel=label, ylabel=what, ylim=(0, 1.08 * fine.counts.max()))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    if logarithmic:
        axes.set_xscale("log")
        wide = fine.edges[-1] - fine.edges[0]
        plain_log(axes.xaxis, (1.0,) if wide > 2 else (1.0, 2.0, 5.0))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6, min_n_ticks=2))


def _range(histogram: Histogram) -> tuple[float, float]:
    """What is worth showing: everything, unless a few values lie far outside."""
    low, high = histogram.quantile(_TAIL), histogram.quantile(1 - _TAIL)
    span = max(high - low, histogram.width)
    least = low if histogram.least < low - span / 2 else histogram.least
    largest = high if histogram.largest > high + span / 2 else histogram.largest
    return least, largest


def _bins_between(histogram: Histogram, low: float, high: float) -> float:
    return (high - low) / histogram.width
