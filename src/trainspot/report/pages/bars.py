"""Stacked bars of frames, by strategy and split."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from trainspot.data.frames import SPLITS
from trainspot.report.pages.panels import SPLIT_LABELS, absent, shared_legend
from trainspot.report.pages.style import COLOURS, new, styled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure


@styled
def by_strategy(table: Mapping[str, Mapping[str, int]], what: str) -> Figure:
    """Stacked bars of frames: one bar a strategy, one colour a split; ``what`` is counted."""
    figure = new(1.0 + 0.34 * max(2, len(table)))
    axes = figure.subplots()
    if not table:
        absent(axes, f"no {what.lower()}")
        return figure
    names = list(table)
    left = np.zeros(len(names))
    for name in (*SPLITS, "none"):
        values = np.array([table[strategy].get(name, 0) for strategy in names])
        if values.any():
            label, colour = SPLIT_LABELS[name], COLOURS[name]
            axes.barh(names, values, left=left, height=0.62, color=colour, label=label)
        left += values
    for row, total in enumerate(left):
        axes.text(total + 0.01 * left.max(), row, f"{total:.0f}", va="center", fontsize=8.5)
    axes.set(xlabel=what, ylabel="Strategy", xlim=(0, 1.06 * left.max()))
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    shared_legend(figure, [axes])
    return figure
