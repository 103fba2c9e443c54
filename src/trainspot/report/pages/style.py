"""The style of the figures: colours, markers, fonts; and conversion of figures to images.

Figures are made without pyplot and under ``rc_context``, so no global state changes. Blue,
vermilion and black (Okabe and Ito) are distinct in every common kind of colour blindness, and each
split also has its own marker.
"""

from __future__ import annotations

import base64
import functools
import io
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

P = ParamSpec("P")
R = TypeVar("R")

COLOURS: Final = {
    "train": "#0072B2",
    "validation": "#D55E00",
    "test": "#1A1A1A",
    "none": "#B8B8B8",
}
MARKERS: Final = {"train": "o", "validation": "s", "test": "^", "none": "o"}
LINE: Final = "#0072B2"
MISSED: Final = "#D55E00"
GREY: Final = "#6B6B6B"
BAR: Final = "#56B4E9"

WIDTH: Final = 9.6
"""Inches; the page shows a figure about 960 px wide, so 9 pt in a figure reads like the text."""

_RC: Final[dict[str, Any]] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.0,
    "axes.edgecolor": "#444444",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.6,
    "xtick.color": "#333333",
    "ytick.color": "#333333",
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.frameon": False,
    "legend.fontsize": 9.0,
    "lines.linewidth": 1.6,
    "errorbar.capsize": 2.5,
    "figure.dpi": 100.0,
    "savefig.facecolor": "white",
    "text.parse_math": False,  # a name with a dollar sign stays a name
    "svg.fonttype": "path",  # the same glyphs on every machine
    "svg.hashsalt": "trainspot",  # the same bytes for the same data
}


def styled(function: Callable[P, R]) -> Callable[P, R]:
    """Run a drawing function with this style, without a change of the settings of matplotlib."""

    @functools.wraps(function)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        with mpl.rc_context(_RC):
            return function(*args, **kwargs)

    return inside


def new(height: float, *, width: float = WIDTH) -> Figure:
    """An empty figure (inches) with a canvas of its own."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


@styled
def svg(figure: Figure) -> bytes:
    """The figure as SVG; equal data give equal bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", dpi=200, metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


@styled
def save_png(figure: Figure, path: Path, dpi: int = 150) -> None:
    """The figure as a PNG file, for slides and for looking at."""
    figure.savefig(path, format="png", dpi=dpi)


def data_uri(figure: Figure) -> str:
    """The figure as a ``data:`` address, so that a page needs no other file."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg(figure)).decode()


@styled
def png_uri(figure: Figure, dpi: int = 144) -> str:
    """The figure as a bitmap, which is smaller than SVG if a figure has hundreds of shapes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
