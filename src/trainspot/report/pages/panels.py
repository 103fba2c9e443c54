"""Parts of several figures: legends, axis limits, the panel without data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from trainspot.data.frames import SPLITS
from trainspot.report.pages.style import GREY

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

SPLIT_LABELS: Final = {name: name for name in SPLITS} | {"none": "no split"}


def absent(axes: Axes, why: str) -> None:
    """Say in the panel why it is empty."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, why, transform=axes.transAxes, ha="center", va="center", color=GREY)


def subtitle(axes: Axes, title: str, *lines: str) -> None:
    """A title with lines of numbers under it, above the panel so that they cover no point."""
    axes.set_title(title, pad=6.0 + 11.5 * len(lines))
    axes.annotate(
        "\n".join(lines),
        (0.0, 1.0),
        (0.0, 4.0),
        xycoords="axes fraction",
        textcoords="offset points",
        va="bottom",
        fontsize=8.0,
        color="#333333",
        linespacing=1.3,
    )


def shared_legend(figure: Figure, panels: Iterable[Axes]) -> None:
    """One legend above all panels, each label once."""
    entries: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    splits = [label for label in SPLIT_LABELS.values() if label in entries]
    entries = {
        label: entries[label]
        for label in [*splits, *(name for name in entries if name not in splits)]
    }
    if entries:
        figure.legend(
            list(entries.values()),
            list(entries),
            loc="outside upper center",
            ncols=min(5, len(entries)),
            markerscale=1.2,
        )


def iteration_axis(axes: Axes, numbers: Sequence[int]) -> None:
    """Whole iterations along x, the same range in every panel."""
    axes.set_xlim(min(numbers) - 0.6, max(numbers) + 0.6)
    axes.set_xticks(numbers[:: 1 + (len(numbers) - 1) // 10])


def zero_or_log(axes: Axes, values: NDArray[np.float64]) -> None:
    """Start y at zero, unless a failed first committee would flatten everything else."""
    positive = values[values > 0]
    if len(positive) and positive.max() > 50 * positive.min():
        axes.set_yscale("log")
        plain_log(axes.yaxis, (1.0,))
    else:
        axes.set_ylim(0, 1.12 * max(values.max(), 1e-12))


def padded(parts: Sequence[NDArray[np.float64]]) -> tuple[float, float]:
    """Limits with 5 % of air around all values."""
    values = np.concatenate(parts)
    low, high = float(values.min()), float(values.max())
    air = 0.05 * (high - low) or 0.05 * max(abs(high), 1e-6)
    return low - air, high + air


def square_log(axes: Axes, parts: Sequence[NDArray[np.float64]]) -> tuple[float, float]:
    """Equal logarithmic axes around all values, with plain numbers; returns the limits."""
    values = np.concatenate(parts)
    low, high = float(values.min()) / 1.8, float(values.max()) * 1.8
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
    axes.set_box_aspect(1)
    decades = np.log10(high / low)
    steps = (1.0, 2.0, 5.0) if decades < 2 else (1.0, 3.0) if decades < 3 else (1.0,)
    for axis in (axes.xaxis, axes.yaxis):
        plain_log(axis, steps)
    return low, high


def plain_log(axis: Axis, steps: Sequence[float]) -> None:
    """Ticks at these multiples of powers of ten, written as plain numbers."""
    axis.set_major_locator(LogLocator(subs=steps, numticks=20))
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axis.set_minor_locator(NullLocator())
