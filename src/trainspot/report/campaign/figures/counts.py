"""How many frames: through the steps of each iteration, and by origin in the final dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from matplotlib.ticker import MaxNLocator

from trainspot.report.findings.counts import composition_table, count_of
from trainspot.report.pages.bars import by_origin
from trainspot.report.pages.panels import absent, iteration_axis
from trainspot.report.pages.style import BAR, new, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from trainspot.report.findings.data import ReportData

STEPS: Final = (
    ("labelled", "Newly labelled"),
    ("explored", "Explored by MD"),
    ("refused", "Refused by the screen"),
    ("flagged", "Flagged: unsure or novel"),
    ("selected", "Selected for labelling"),
    ("audit", "Audit: drawn at random"),
)
"""Counts of an iteration record, in the order in which they arise, with their titles."""


@styled
def counts(data: ReportData) -> Figure:
    """How many frames went through each step, by iteration."""
    figure = new(4.5)
    figure.set_layout_engine("constrained", h_pad=0.12)
    panels = figure.subplots(2, 3)
    for axes, (key, title) in zip(panels.flat, STEPS, strict=True):
        axes.set_title(title)
        points = [(record["n"], count_of(record, key)) for record in data.records]
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
        iteration_axis(axes, data.records)
    return figure


def composition(data: ReportData) -> Figure:
    """Labelled frames of the final dataset by origin and set."""
    return by_origin(composition_table(data), "Labelled frames")
