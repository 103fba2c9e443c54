"""Numbers of frames: in the steps of each iteration, and by strategy in the final dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.ticker import MaxNLocator

from trainspot.report.pages.panels import absent, iteration_axis
from trainspot.report.pages.style import BAR, new, styled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from trainspot.report.campaign.rows import Step


@styled
def counts(steps: Sequence[Step], iterations: Sequence[int]) -> Figure:
    """Number of frames in each step, by iteration.

    Args:
        steps: Six steps, one panel each.
        iterations: All iterations; the axes span them.
    """
    figure = new(4.5)
    figure.set_layout_engine("constrained", h_pad=0.12)
    panels = figure.subplots(2, 3)
    for axes, step in zip(panels.flat, steps, strict=True):
        axes.set_title(step.title)
        if not step.counts:
            absent(axes, "not counted yet")
            continue
        numbers, values = zip(*step.counts, strict=True)
        bars = axes.bar(numbers, values, 0.6, color=BAR)
        axes.bar_label(bars, fmt="{:.0f}", padding=2, fontsize=8.5)
        axes.set_ylim(0, 1.22 * max(1, *values))
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.grid(visible=False, axis="x")
        axes.set(xlabel="Iteration", ylabel="Frames")
        iteration_axis(axes, iterations)
    return figure
