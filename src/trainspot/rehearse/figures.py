"""The figures of a rehearsal: learning curves, and the labels and core-hours of each seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from matplotlib.ticker import MaxNLocator

from trainspot.rehearse.arms import OURS, PAPER, RANDOM
from trainspot.rehearse.outcome import SPENT
from trainspot.rehearse.statistics import band, median
from trainspot.report.pages.panels import absent, plain_log, shared_legend
from trainspot.report.pages.style import GREY, new, styled
from trainspot.report.quantities import BY_KEY, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from trainspot.rehearse.outcome import Outcome

_COLOURS: Final = {OURS: "#0072B2", PAPER: "#D55E00", RANDOM: "#1A1A1A"}
_MARKERS: Final = {OURS: "o", PAPER: "s", RANDOM: "^"}
_OTHERS: Final = ("#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_FORCES: Final = BY_KEY["forces"]


def look(outcome: Outcome, arm: str) -> tuple[str, str]:
    """Colour and marker of an arm."""
    uncoloured = [name for name in outcome.arms if name not in _COLOURS]
    if arm in _COLOURS:
        return _COLOURS[arm], _MARKERS[arm]
    return _OTHERS[uncoloured.index(arm) % len(_OTHERS)], "D"


@styled
def curves(outcome: Outcome) -> Figure:
    """Force error against labels and against core-hours: seeds, their median and their spread."""
    figure = new(4.2)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (what, name) in zip(panels, SPENT.items(), strict=True):
        for arm in outcome.arms:
            _curve(axes, outcome, arm, what)
        for target in outcome.targets():
            axes.axhline(target * _FORCES.scale, color=GREY, ls=":", lw=1.0, zorder=1)
        axes.set(xlabel=name[0].upper() + name[1:], yscale="log")
        plain_log(axes.yaxis, _ticks(axes))
        axes.xaxis.set_major_locator(MaxNLocator(6))
    panels[0].set_ylabel(f"Force RMSE on the common test ({_FORCES.unit})")
    shared_legend(figure, panels)
    return figure


def _ticks(axes: Axes) -> tuple[float, ...]:
    """Multiples of powers of ten: many if the curves span a small range."""
    low, high = axes.get_ylim()
    return (1.0, 2.0, 5.0) if high > 20 * low else (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0)


def _curve(axes: Axes, outcome: Outcome, arm: str, what: str) -> None:
    colour, marker = look(outcome, arm)
    lines = [(t.column(what), t.column("forces") * _FORCES.scale) for t in outcome.of(arm)]
    for x, y in lines:
        axes.plot(x, y, color=colour, alpha=0.3, lw=0.8, marker=marker, ms=2.5)
    axis, middle, low, high = band(lines)
    if len(lines) > 1 and len(axis):
        axes.fill_between(axis, low, high, color=colour, alpha=0.10, lw=0)
    axes.plot(axis, middle, color=colour, lw=2.2, label=arm)


@styled
def needs(outcome: Outcome) -> Figure:
    """Labels and core-hours that each seed of each arm needed for each target."""
    targets = outcome.targets()
    figure = new(0.9 + 0.36 * len(outcome.arms) * len(targets))
    panels = figure.subplots(len(targets), 2, squeeze=False, sharex="col")
    for place, (row, target) in enumerate(zip(panels, targets, strict=True), start=1):
        for axes, (what, name) in zip(row, SPENT.items(), strict=True):
            if not _dots(axes, outcome, what, target):
                absent(axes, "no seed got there")
            axes.set_title(f"to {number(target * _FORCES.scale)} {_FORCES.unit}")
            if place == len(targets):
                axes.set_xlabel(name[0].upper() + name[1:])
    for column in panels.T:
        ends = [float(axes.dataLim.xmax) for axes in column]
        column[0].set_xlim(0.0, 1.05 * max([end for end in ends if np.isfinite(end)], default=1.0))
    return figure


def _dots(axes: Axes, outcome: Outcome, what: str, target: float) -> bool:
    """Draw one row of dots for each arm; return whether there is a dot."""
    arms = outcome.arms
    shown = False
    for place, arm in enumerate(arms):
        colour, marker = look(outcome, arm)
        values = np.array(outcome.needed(arm, what, target))
        there = values[np.isfinite(values)]
        shown |= len(there) > 0
        axes.scatter(there, np.full(len(there), place), s=22, color=colour, marker=marker,
                     alpha=0.55, lw=0)  # fmt: skip
        if np.isfinite(middle := median(values)):
            axes.plot([middle] * 2, [place - 0.32, place + 0.32], color=colour, lw=2.4)
    axes.set_yticks(range(len(arms)), arms)
    axes.set_ylim(len(arms) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    return shown
