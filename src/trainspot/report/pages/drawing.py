"""Structures as small pictures: depth as fog, bonds, and the edges of the periodic directions.

ASE draws atoms as flat discs on top of the whole cell, so that a thumbnail of a dense supercell is
unreadable. Colours and radii are those of ASE.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from ase.data import chemical_symbols, covalent_radii
from ase.data.colors import jmol_colors
from matplotlib.collections import PatchCollection
from matplotlib.patches import Circle, PathPatch
from matplotlib.path import Path

from trainspot.data.lattice import full_cell, lengths
from trainspot.geometry import pairs_within
from trainspot.report.pages.style import GREY, new, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch
    from numpy.typing import NDArray

    from trainspot.data.frames import Frame

    Floats = NDArray[np.float64]

_RADII: Final = (0.55, 0.8)  # of the covalent radius: few atoms show bonds, many a surface
_MANY: Final = 100
_BOND: Final = 1.2  # of the sum of the covalent radii
_FOG: Final = 0.75  # share of its colour that the farthest atom loses
_STRAY: Final = 1.0  # Å an atom may lie outside the cell before it is wrapped
_SUNK: Final = 0.5  # Å an edge lies behind its place, so that an atom on it covers it
_LINE: Final = 0.8  # points, bonds and edges
_PIECES: Final = 16  # of an edge, each at its own depth
_TILTS: Final = {0: (12.0, 20.0), 1: (0.0, 28.0), 2: (-12.0, 50.0), 3: (-16.0, 10.0)}
"""Degrees about the vertical and the horizontal axis, by number of periodic directions."""


class Scene(NamedTuple):
    """A frame as drawn: x to the right, y up, z towards the reader.

    Attributes:
        positions: (n, 3), Å.
        edges: Start and end of each edge of the cell that is periodic, (m, 2, 3), Å.
        bonds: Start and end of each bond, (b, 2, 3), Å.
    """

    positions: Floats
    edges: Floats
    bonds: Floats


class _Thing(NamedTuple):
    depth: float
    patch: Patch
    linewidth: float


@styled
def picture(frame: Frame, size: float = 1.6) -> Figure:
    """A frame alone in a square figure, ``size`` inches wide."""
    figure = new(size, width=size)
    figure.set_layout_engine("none")
    draw(figure.add_axes((0, 0, 1, 1)), frame)
    return figure


def draw(axes: Axes, frame: Frame, *, width: float | None = None, legend: bool = True) -> None:
    """Draw a frame into an empty panel.

    Args:
        axes: The panel; its own axes are switched off.
        frame: What to draw.
        width: Å from the left to the right of the panel; as large as fits by default.
        legend: Name the colours in the upper left corner where there are several elements.
    """
    scene = view(frame)
    radii = drawn_radii(frame)
    low, high = _extent(scene, radii)
    width = _fitting(low, high) if width is None else width
    middle = (low + high) / 2
    fog = _Fog(scene.positions[:, 2], width)
    points = 72 * float(axes.bbox.width) / _dots_per_inch(axes) / width  # of 1 Å
    outline = min(0.8, 0.09 * points)
    things: list[_Thing] = []
    for (x, y, z), number, radius in zip(scene.positions, frame.numbers, radii, strict=True):
        fill, line = fog.colours(jmol_colors[number], z)
        disc = Circle((x, y), radius, facecolor=fill, edgecolor=line)
        things.append(_Thing(float(z), disc, outline))
    for segments, colour, sunk in (
        (scene.bonds, np.full(3, 0.45), 0.0),
        (_pieces(scene.edges), np.array([0.2, 0.3, 0.5]), _SUNK),
    ):
        for start, end in segments:
            depth = float(start[2] + end[2]) / 2
            stroke = _line(start, end, fog.colours(colour, depth)[0])
            things.append(_Thing(depth - sunk, stroke, _LINE))
    things.sort(key=lambda thing: thing.depth)
    for thing in things:
        thing.patch.set_linewidth(thing.linewidth)
    axes.add_collection(PatchCollection([thing.patch for thing in things], match_original=True))
    axes.set(
        xlim=(middle[0] - width / 2, middle[0] + width / 2),
        ylim=(middle[1] - width / 2, middle[1] + width / 2),
    )
    axes.set_aspect("equal")
    axes.set_axis_off()
    if legend and len(np.unique(frame.numbers)) > 1:
        _name_colours(axes, frame.numbers)


def fitting_width(frame: Frame) -> float:
    """The ``width`` with which a frame fills its panel, Å."""
    return _fitting(*_extent(view(frame), drawn_radii(frame)))


def _fitting(low: Floats, high: Floats) -> float:
    return 1.06 * float(max(*(high - low)[:2], 3.0))


def _extent(scene: Scene, radii: Floats) -> tuple[Floats, Floats]:
    """The lowest and the highest coordinates of everything that is drawn, (3,) each, Å."""
    discs, edges = scene.positions, scene.edges.reshape(-1, 3)
    low = np.concatenate([discs - radii[:, None], edges]).min(axis=0)
    high = np.concatenate([discs + radii[:, None], edges]).max(axis=0)
    return low, high


def _dots_per_inch(axes: Axes) -> float:
    figure = axes.get_figure(root=True)
    assert figure is not None
    return float(figure.dpi)


def drawn_radii(frame: Frame) -> Floats:
    """Radii of the discs of the atoms, (n,), Å."""
    factor = _RADII[int(len(frame) > _MANY and frame.pbc.all())]
    result: Floats = factor * covalent_radii[frame.numbers]
    return result


def view(frame: Frame) -> Scene:
    """Turn a frame so that its periodic directions are visible."""
    rotation = _rotation(frame)
    positions = _wrapped(frame)
    middle = positions.mean(axis=0)
    corner = _corner(frame, positions)
    edges = np.array([(corner + a, corner + b) for a, b in _cell_edges(frame)]).reshape(-1, 2, 3)
    bonds = _bonds(frame, positions)
    return Scene(*((part - middle) @ rotation.T for part in (positions, edges, bonds)))


def _rotation(frame: Frame) -> Floats:
    """Rows: directions right, up and towards the reader, in the coordinates of the frame."""
    rank = int(frame.pbc.sum())
    if rank == 3:
        up = np.array([0.0, 0.0, 1.0])
        right = np.array([1.0, 0.0, 0.0])
    elif rank == 2:
        first, second = frame.cell[frame.pbc]
        up, right = np.cross(first, second), first
    else:
        spread = frame.positions - frame.positions.mean(axis=0)
        spread = np.concatenate([spread, 1e-6 * np.eye(3)])  # even a single atom has directions
        if rank == 1:
            right = frame.cell[frame.pbc][0]
            spread = spread - np.outer(spread @ right, right) / (right @ right)
            up = _widest(spread, 1)[0]
        else:
            right, up = _widest(spread, 2)
    right = right / np.linalg.norm(right)
    up = up - right * (up @ right)
    up = up / np.linalg.norm(up)
    base = np.stack([right, up, np.cross(right, up)])
    about_up, about_right = np.radians(_TILTS[rank])
    if rank == 2 and _thick(frame, base):
        about_right = np.radians(_TILTS[3][1])  # layers are seen from the side, sheets from above
    turned: Floats = _turn(0, about_right) @ _turn(1, about_up) @ base
    return turned


def _thick(frame: Frame, base: Floats) -> bool:
    """Whether a sheet is a third as high as it is wide, or more."""
    across, height, _ = np.ptp(frame.positions @ base.T, axis=0)
    return bool(len(frame) > 1 and height > across / 3)


def _widest(spread: Floats, number: int) -> Floats:
    """Unit vectors of the largest extent of the atoms, with fixed signs, (number, 3)."""
    axes = np.linalg.svd(spread, full_matrices=False)[2][:number]
    largest = np.abs(axes).argmax(axis=1)
    result: Floats = axes * np.sign(axes[np.arange(number), largest])[:, None]
    return result


def _turn(axis: int, angle: float) -> Floats:
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[[i, j], [i, j]] = np.cos(angle)
    matrix[i, j], matrix[j, i] = -np.sin(angle), np.sin(angle)
    return matrix


def _wrapped(frame: Frame) -> Floats:
    """Positions with atoms far outside the cell brought back along periodic directions."""
    whole = full_cell(frame.cell, frame.pbc)
    shares = np.linalg.solve(whole.T, frame.positions.T).T
    reciprocal: Floats = np.asarray(np.linalg.inv(whole).T, dtype=np.float64)
    heights = 1 / lengths(reciprocal)
    margin = np.minimum(_STRAY / heights, 0.25)
    turns = np.where(frame.pbc, np.floor(shares + margin), 0.0)
    result: Floats = frame.positions - turns @ whole
    return result


def _corner(frame: Frame, positions: Floats) -> Floats:
    """Corner of the drawn cell: at the height of the atoms along non-periodic directions."""
    whole = full_cell(frame.cell, frame.pbc)
    shares = np.linalg.solve(whole.T, positions.T).T
    middle = (shares.min(axis=0) + shares.max(axis=0)) / 2
    corner: Floats = np.where(frame.pbc, 0.0, middle) @ whole
    return corner


def _cell_edges(frame: Frame) -> list[tuple[Floats, Floats]]:
    """Edges of the body that the periodic cell vectors span: twelve, four, one, or none."""
    vectors = frame.cell[frame.pbc]
    edges = []
    for axis in range(len(vectors)):
        rest = np.delete(vectors, axis, axis=0)
        for bits in np.ndindex(*[2] * len(rest)):
            start = np.array(bits) @ rest if len(rest) else np.zeros(3)
            edges.append((start, start + vectors[axis]))
    return edges


def _bonds(frame: Frame, positions: Floats) -> Floats:
    """Pairs within 1.2 times their covalent radii, unless the cell's boundary lies between."""
    radii = covalent_radii[frame.numbers]
    pairs = pairs_within(frame, 2 * _BOND * float(radii.max()))
    close = pairs.distances < _BOND * (radii[pairs.first] + radii[pairs.second])
    first, second = pairs.first[close], pairs.second[close]
    start, along = positions[first], pairs.vectors[close]
    inside = lengths(positions[second] - start - along) < 1e-3
    # From surface to surface: a bond that ran to the centre would lie on top of the atom.
    discs, distances = 0.85 * drawn_radii(frame), pairs.distances[close]
    ends = np.stack([discs[first] / distances, 1 - discs[second] / distances], axis=1)[:, :, None]
    bonds: Floats = (start[:, None] + ends * along[:, None])[inside]
    return bonds


class _Fog:
    """Colours that fade with the distance from the reader."""

    def __init__(self, depths: Floats, width: float) -> None:
        self._front = float(depths.max())
        # A frame that is nearly flat fades a little only.
        self._range = max(float(np.ptp(depths)), 0.9 * width)

    def colours(self, colour: Floats, depth: float) -> tuple[Floats, Floats]:
        """Fill and outline of something of this colour at this depth."""
        share = _FOG * float(np.clip((self._front - depth) / self._range, 0, 1))
        return colour + (1 - colour) * share, 0.35 * colour + (1 - 0.35 * colour) * share


def _line(start: Floats, end: Floats, colour: Floats) -> PathPatch:
    return PathPatch(Path([start[:2], end[:2]]), facecolor="none", edgecolor=colour)


def _pieces(edges: Floats) -> Floats:
    """Edges cut into pieces, so that atoms can hide each piece, (k, 2, 3)."""
    steps = np.linspace(0, 1, _PIECES + 1)
    points = edges[:, :1] + (edges[:, 1:] - edges[:, :1]) * steps[None, :, None]
    return np.stack([points[:, :-1], points[:, 1:]], axis=2).reshape(-1, 2, 3)


def _name_colours(axes: Axes, numbers: NDArray[np.int64]) -> None:
    for row, number in enumerate(np.unique(numbers).tolist()[:6]):
        axes.text(
            0.03,
            0.97 - 0.1 * row,
            chemical_symbols[number],
            transform=axes.transAxes,
            va="top",
            fontsize=7.0,
            color="#111111",
            bbox={
                "boxstyle": "round,pad=0.15",
                "facecolor": jmol_colors[number],
                "edgecolor": GREY,
                "linewidth": 0.4,
            },
        )
