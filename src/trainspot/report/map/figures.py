"""Frames in a plane, coloured by a property of the frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.colors import Normalize, to_hex

from trainspot.report.pages.panels import padded
from trainspot.report.pages.style import COLOURS, GREY, MARKERS, new, styled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from trainspot.report.map.rows import Group, Marks

_RASTER: Final = 500
_PALETTE: Final = (  # Okabe and Ito, then Tol: distinct in every common kind of colour blindness
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"),
    *("#332288", "#882255", "#999933", "#44AA99", "#1A1A1A", "#AA4499"),
)
_SHAPES: Final = "os^Dvp<P>X*h"
_SEQUENCE: Final = "viridis"


def looks(groups: Sequence[Group]) -> list[tuple[str, str]]:
    """Colour and marker of each group, all different."""
    numbers = sum(group.kind == "number" for group in groups)
    shades = mpl.colormaps[_SEQUENCE](np.linspace(0.0, 0.86, max(2, numbers)))
    styles = []
    for group in groups:
        shape = _SHAPES[group.place % len(_SHAPES)]
        if group.kind == "number":
            styles.append((to_hex(shades[group.place]), shape))
        elif group.kind == "split":
            styles.append((COLOURS[group.label], MARKERS[group.label]))
        elif group.kind == "word":
            styles.append((_PALETTE[group.place], shape))
        else:
            styles.append((COLOURS["none"], "o"))
    return styles


@styled
def frame_map(marks: Marks) -> Figure:
    """The map: full markers and, smaller, open ones."""
    figure = new(6.3)
    axes = figure.subplots()
    if marks.values is not None:
        _scale(figure, axes, marks, marks.values)
    else:
        for group, (colour, marker) in zip(marks.groups, looks(marks.groups), strict=True):
            name = group.label
            for opened in (False, True):
                part = group.mask & (marks.is_open == opened)
                if part.any():
                    look: dict[str, Any] = {"marker": marker, "label": name}
                    _points(axes, marks.points[part], opened=opened, colour=colour, **look)
                    name = f"_{name}"  # once in the legend
    _frame(figure, axes, marks)
    return figure


def _points(
    axes: Axes, points: NDArray[np.float64], *, opened: bool, colour: Any, **k: Any
) -> None:
    """Draw points of one colour, or with one colour for each point, (n, 4)."""
    size = float(np.clip(9000.0 / max(1, len(points)), 12.0, 34.0))
    full: dict[str, Any] = {"s": size, "facecolors": colour, "edgecolors": "white"}
    full |= {"linewidths": 0.3, "alpha": 0.9, "zorder": 3}
    empty: dict[str, Any] = {"s": 0.6 * size, "facecolors": "none", "edgecolors": colour}
    empty |= {"linewidths": 0.8, "alpha": 0.65, "zorder": 2}
    style = empty if opened else full
    axes.scatter(points[:, 0], points[:, 1], rasterized=len(points) > _RASTER, **style, **k)


def _scale(figure: Figure, axes: Axes, marks: Marks, values: NDArray[np.float64]) -> None:
    """Points on a continuous scale; points without a value are grey."""
    present = np.isfinite(values)
    norm = Normalize(*marks.limits)
    shades = mpl.colormaps[_SEQUENCE](norm(values))
    if (~present).any():
        grey = COLOURS["none"]
        _points(axes, marks.points[~present], opened=True, colour=grey, label="unknown", marker="o")
    for opened in (False, True):
        part = present & (marks.is_open == opened)
        if part.any():
            _points(axes, marks.points[part], opened=opened, colour=shades[part], marker="o")
    mappable = mpl.cm.ScalarMappable(norm, mpl.colormaps[_SEQUENCE])
    bar = figure.colorbar(mappable, ax=axes, label=marks.key, extend="both", shrink=0.8)
    bar.outline.set_visible(False)


def _frame(figure: Figure, axes: Axes, marks: Marks) -> None:
    """Limits, axes and legends."""
    axes.set(xlim=padded([marks.points[:, 0]]), ylim=padded([marks.points[:, 1]]))
    axes.set_title(marks.title)
    if marks.axes:
        axes.set(xlabel=marks.axes[0], ylabel=marks.axes[1])
    else:  # positions have no unit and directions no meaning
        axes.tick_params(bottom=False, left=False, labelbottom=False, labelleft=False)
        axes.grid(visible=False)
    for spine in ("top", "right"):
        axes.spines[spine].set_visible(True)
    handles, names = axes.get_legend_handles_labels()
    if handles:
        legend = figure.legend(
            handles, names, loc="outside right upper", title=marks.key, alignment="left"
        )
        for handle in legend.legend_handles:
            if handle is not None:
                handle.set(sizes=[34.0], alpha=1.0)
    if marks.opened:
        axes.annotate(
            f"Open: {marks.opened}. Full: labelled.",
            (0.0, 0.0),
            (0.0, -10.0),
            xycoords="axes fraction",
            textcoords="offset points",
            va="top",
            fontsize=8.5,
            color=GREY,
        )
