"""Frames in a plane, coloured by what is known of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.colors import Normalize, to_hex

from trainspot.maps.chart import EXPLORED, LABELLED, FrameMap
from trainspot.report.pages.panels import padded
from trainspot.report.pages.style import COLOURS, GREY, MARKERS, SETS, new, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

MANY: Final = 12
"""More whole numbers than this are a scale, and more words than this share a colour."""
OTHERS: Final = "others"
UNKNOWN: Final = "unknown"

_RASTER: Final = 500
_PALETTE: Final = (  # Okabe and Ito, then Tol: apart in every common kind of colour blindness
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"),
    *("#332288", "#882255", "#999933", "#44AA99", "#1A1A1A", "#AA4499"),
)
_SHAPES: Final = "os^Dvp<P>X*h"
_SEQUENCE: Final = "viridis"
_LABELS: Final = {
    "iteration": "Iteration",
    "strategy": "Origin",
    "split": "Set",
    "status": "Status",
    "energy": "Energy (eV/atom)",
    "atoms": "Atoms",
}


@dataclass(frozen=True, slots=True)
class Group:
    """Points that look the same.

    Attributes:
        label: As in the legend.
        mask: Which points, (N,).
        colour: Of their markers.
        marker: Shape of their markers.
    """

    label: str
    mask: NDArray[np.bool_]
    colour: str
    marker: str


def label(key: str) -> str:
    """How a legend names what points are coloured by."""
    return _LABELS.get(key, key)


def is_scale(values: list[Any]) -> bool:
    """Whether values are shown as a continuous scale: numbers that are not few and whole."""
    known = [value for value in values if value is not None]
    if not known or any(isinstance(value, str | bool) for value in known):
        return False
    return any(isinstance(v, float) and v != int(v) for v in known) or len(set(known)) > MANY


def groups(values: list[Any], key: str) -> list[Group]:
    """The values as groups, each with a colour and a shape of its own; whole numbers in order."""
    known = [value for value in values if value is not None]
    if known and not any(isinstance(value, str | bool) for value in known):
        steps = np.linspace(0.0, 0.86, max(2, len(set(known))))
        shades = [to_hex(colour) for colour in mpl.colormaps[_SEQUENCE](steps)]
        styles = {
            value: (f"{value:g}", shades[row], _SHAPES[row % len(_SHAPES)])
            for row, value in enumerate(sorted(set(known)))
        }
    else:
        styles = {value: _look(value, row, key) for row, value in enumerate(_frequent(known))}
    labels = np.array([styles.get(v, (UNKNOWN if v is None else OTHERS,))[0] for v in values])
    looks = {look[0]: look for look in styles.values()}
    rest = [(name, COLOURS["none"], "o") for name in (OTHERS, UNKNOWN)]
    return [
        Group(name, mask, colour, marker)
        for name, colour, marker in [*looks.values(), *(r for r in rest if r[0] not in looks)]
        if (mask := labels == name).any()
    ]


def _frequent(values: list[Any]) -> list[Any]:
    """The most frequent values, the sets in their own order."""
    counts: dict[Any, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    ranked = sorted(counts, key=lambda value: (-counts[value], str(value)))
    if set(counts) <= set(SETS):
        return [name for name in SETS if name in counts]
    return ranked[:MANY]


def _look(value: Any, row: int, key: str) -> tuple[str, str, str]:
    if key == "split":
        return str(value), COLOURS[value], MARKERS[value]
    return str(value), _PALETTE[row], _SHAPES[row]


@styled
def frame_map(chart: FrameMap, key: str) -> Figure:
    """The map, its points coloured by ``key``.

    Full markers are frames that are labelled; small open ones were explored and not chosen, or are
    not labelled. Where nothing is labelled all are full.
    """
    figure = new(6.3)
    axes = figure.subplots()
    values = chart.values(key)
    is_open = _is_open(chart, key)
    if is_scale(values):
        _scale(figure, axes, chart, values, is_open, label(key))
    else:
        for group in groups(values, key):
            name = group.label
            for part, opened in ((group.mask & ~is_open, False), (group.mask & is_open, True)):
                if part.any():
                    look: dict[str, Any] = {"marker": group.marker, "label": name}
                    _points(axes, chart.points[part], opened=opened, colour=group.colour, **look)
                    name = f"_{name}"  # once in the legend
    _frame(figure, axes, chart, key, is_open)
    return figure


def _is_open(chart: FrameMap, key: str) -> NDArray[np.bool_]:
    """Which markers are open, (N,); the colour itself tells the status if that is its key."""
    if key == "status":
        return np.array([status == EXPLORED for status in chart.status], dtype=np.bool_)
    is_open = np.array([status != LABELLED for status in chart.status], dtype=np.bool_)
    return is_open & (not is_open.all())


def _points(
    axes: Axes, points: NDArray[np.float64], *, opened: bool, colour: Any, **k: Any
) -> None:
    """Draw points of one colour, or of a colour each, (n, 4)."""
    size = float(np.clip(9000.0 / max(1, len(points)), 12.0, 34.0))
    full: dict[str, Any] = {"s": size, "facecolors": colour, "edgecolors": "white"}
    full |= {"linewidths": 0.3, "alpha": 0.9, "zorder": 3}
    empty: dict[str, Any] = {"s": 0.6 * size, "facecolors": "none", "edgecolors": colour}
    empty |= {"linewidths": 0.8, "alpha": 0.65, "zorder": 2}
    style = empty if opened else full
    axes.scatter(points[:, 0], points[:, 1], rasterized=len(points) > _RASTER, **style, **k)


def _scale(
    figure: Figure,
    axes: Axes,
    chart: FrameMap,
    values: list[Any],
    is_open: NDArray[np.bool_],
    title: str,
) -> None:
    """Points on a continuous scale; those whose value is not known in grey."""
    known = np.array([value is not None for value in values])
    numbers = np.array([np.nan if value is None else float(value) for value in values])
    low, high = np.percentile(numbers[known], [2, 98])
    norm = Normalize(float(low), float(high) if high > low else float(low) + 1.0)
    shades = mpl.colormaps[_SEQUENCE](norm(numbers))
    if (~known).any():
        grey = COLOURS["none"]
        _points(axes, chart.points[~known], opened=True, colour=grey, label=UNKNOWN, marker="o")
    for part, opened in ((known & ~is_open, False), (known & is_open, True)):
        if part.any():
            _points(axes, chart.points[part], opened=opened, colour=shades[part], marker="o")
    mappable = mpl.cm.ScalarMappable(norm, mpl.colormaps[_SEQUENCE])
    bar = figure.colorbar(mappable, ax=axes, label=title, extend="both", shrink=0.8)
    bar.outline.set_visible(False)


def _frame(
    figure: Figure, axes: Axes, chart: FrameMap, key: str, is_open: NDArray[np.bool_]
) -> None:
    """Limits, axes and legends."""
    axes.set(xlim=padded([chart.points[:, 0]]), ylim=padded([chart.points[:, 1]]))
    axes.set_title(chart.title)
    if chart.method == "pca":
        axes.set(xlabel="First principal component", ylabel="Second principal component")
    else:  # positions have no unit and directions no meaning
        axes.tick_params(bottom=False, left=False, labelbottom=False, labelleft=False)
        axes.grid(visible=False)
    for spine in ("top", "right"):
        axes.spines[spine].set_visible(True)
    handles, names = axes.get_legend_handles_labels()
    if handles:
        legend = figure.legend(
            handles, names, loc="outside right upper", title=label(key), alignment="left"
        )
        for handle in legend.legend_handles:
            if handle is not None:
                handle.set(sizes=[34.0], alpha=1.0)
    if is_open.any() and key != "status":
        opened = sorted({s for s, o in zip(chart.status, is_open, strict=True) if o})
        axes.annotate(
            f"Open: {' or '.join(opened)}. Full: labelled.",
            (0.0, 0.0),
            (0.0, -10.0),
            xycoords="axes fraction",
            textcoords="offset points",
            va="top",
            fontsize=8.5,
            color=GREY,
        )
