"""The figures of a dataset: sizes, densities, distances, energies and forces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.ticker import MaxNLocator

from trainspot.report.pages.panels import absent, plain_log
from trainspot.report.pages.style import BAR, new, styled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from trainspot.report.dataset.rows import Bars


@styled
def sizes(size: Bars | None, volume: Bars | None, density: Bars | None) -> Figure:
    """Atoms in a frame, volume per atom (Å³) and density (g/cm³)."""
    figure = new(2.5)
    for axes, shown, title, label in zip(
        figure.subplots(1, 3),
        (size, volume, density),
        ("Size", "Volume per atom", "Density"),
        ("Atoms in a frame", "Å³", "g/cm³"),
        strict=True,
    ):
        _draw(axes, shown, label, "Frames", "no frame is periodic in three directions")
        axes.set_title(title)
    return figure


@styled
def distances(pairs: Mapping[str, Bars]) -> Figure:
    """Distance to the nearest neighbour (Å), a panel for each pair of elements."""
    columns = min(3, max(1, len(pairs)))
    rows = -(-max(1, len(pairs)) // columns)
    figure = new(2.3 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for axes, (name, shown) in zip(panels, pairs.items(), strict=False):
        _draw(axes, shown, "Å", "Atoms", "")
        axes.set_title(name)
    for axes in panels:
        axes.set_axis_off()
    return figure


@styled
def labels(energies: Bars | None, forces: Bars | None, *, relative: bool) -> Figure:
    """Energies per atom and lengths of forces.

    Args:
        energies: eV/atom.
        forces: eV/Å.
        relative: Whether the energies are relative to isolated atoms.
    """
    figure = new(2.7)
    left, right = figure.subplots(1, 2)
    label = "eV/atom, relative to isolated atoms" if relative else "eV/atom"
    _draw(left, energies, label, "Frames", "no energies of more than one atom")
    left.set_title("Energy")
    _draw(right, forces, "eV/Å", "Atoms", "no forces")
    right.set_title("Length of the force on an atom")
    return figure


def _draw(axes: Axes, shown: Bars | None, label: str, what: str, empty: str) -> None:
    """Draw a histogram; a text counts the values that would flatten the rest."""
    if shown is None:
        absent(axes, empty)
        return
    axes.stairs(shown.counts, shown.edges, fill=True, color=BAR)
    if shown.limits is not None:
        axes.set_xlim(*shown.limits)
        axes.text(
            0.99,
            0.97,
            f"{shown.beyond} beyond",
            transform=axes.transAxes,
            ha="right",
            va="top",
            fontsize=8.0,
        )
    axes.set(xlabel=label, ylabel=what, ylim=(0, 1.08 * shown.counts.max()))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    if shown.logarithmic:
        axes.set_xscale("log")
        plain_log(axes.xaxis, (1.0,) if shown.decades > 2 else (1.0, 2.0, 5.0))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6, min_n_ticks=2))
