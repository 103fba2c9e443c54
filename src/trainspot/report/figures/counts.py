"""How many frames: through the steps of each iteration, and by origin in the final dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from matplotlib.ticker import MaxNLocator

from trainspot.report.figures.panels import SET_LABELS, absent, iteration_axis, shared_legend
from trainspot.report.style import BAR, COLOURS, SETS, new, styled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from matplotlib.figure import Figure

    from trainspot.campaign.record import IterationRecord
    from trainspot.report.data import ReportData

STEPS: Final[tuple[tuple[str, Callable[[IterationRecord], int | None]], ...]] = (
    ("Newly labelled", lambda record: record.labelled),
    ("Explored by MD", lambda record: record.explored),
    ("Refused by the screen", lambda record: record.refusals),
    ("Flagged: unsure or novel", lambda record: record.flagged),
    ("Selected for labelling", lambda record: record.selected),
    ("Audit: drawn at random", lambda record: record.audit),
)
"""Titles of the counts of an iteration, in the order in which they arise."""


@styled
def counts(data: ReportData) -> Figure:
    """How many frames went through each step, by iteration."""
    figure = new(4.5)
    figure.set_layout_engine("constrained", h_pad=0.12)
    panels = figure.subplots(2, 3)
    for axes, (title, count) in zip(panels.flat, STEPS, strict=True):
        axes.set_title(title)
        points = [(record.n, count(record)) for record in data.records]
        shown = [(n, value) for n, value in points if value is not None]
        if not shown:
            absent(axes, "not counted yet")
            continue
        bars = axes.bar([n for n, _ in shown], [value for _, value in shown], 0.6, color=BAR)
        axes.bar_label(bars, fmt="{:.0f}", padding=2, fontsize=8.5)
        axes.set_ylim(0, 1.22 * max(1, *(value for _, value in shown)))
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.grid(visible=False, axis="x")
        axes.set(xlabel="Iteration", ylabel="Frames")
        iteration_axis(axes, [record.n for record in data.records])
    return figure


def composition(data: ReportData) -> Figure:
    """Labelled frames of the final dataset by origin and set."""
    return by_origin(composition_table(data), "Labelled frames")


@styled
def by_origin(table: Mapping[str, Mapping[str, int]], what: str) -> Figure:
    """Stacked bars of frames: one bar an origin, one colour a set; ``what`` is counted."""
    figure = new(1.0 + 0.34 * max(2, len(table)))
    axes = figure.subplots()
    if not table:
        absent(axes, f"no {what.lower()}")
        return figure
    names = list(table)
    left = np.zeros(len(names))
    for name in (*SETS, "none"):
        values = np.array([table[strategy].get(name, 0) for strategy in names])
        if values.any():
            label, colour = SET_LABELS[name], COLOURS[name]
            axes.barh(names, values, left=left, height=0.62, color=colour, label=label)
        left += values
    for row, total in enumerate(left):
        axes.text(total + 0.01 * left.max(), row, f"{total:.0f}", va="center", fontsize=8.5)
    axes.set(xlabel=what, ylabel="Origin", xlim=(0, 1.06 * left.max()))
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    shared_legend(figure, [axes])
    return figure


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
