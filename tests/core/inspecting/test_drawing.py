"""Pictures of frames: nothing is lost, distorted or on the wrong side."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, graphene, molecule
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.collections import PatchCollection

from trainspot.data.frames import Frame
from trainspot.report.pages import drawing
from trainspot.report.pages.style import new, png_uri


def frame_with(directions: int) -> Frame:
    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    return Frame.make(
        atoms.numbers, atoms.positions, atoms.cell, [i < directions for i in range(3)]
    )


@pytest.mark.parametrize(("directions", "edges"), [(0, 0), (1, 1), (2, 4), (3, 12)])
def test_edges_of_the_periodic_directions_alone(directions, edges):
    scene = drawing.view(frame_with(directions))
    assert scene.edges.shape == (edges, 2, 3)
    lengths = np.linalg.norm(scene.edges[:, 1] - scene.edges[:, 0], axis=1)
    assert lengths == pytest.approx(5.64)


@given(st.integers(0, 3), st.integers(0, 2**32 - 1))
def test_a_view_is_a_rotation(directions, seed):
    rng = np.random.default_rng(seed)
    cell = np.eye(3) * 6 + rng.uniform(-2, 2, (3, 3))
    positions = rng.uniform(0.25, 0.7, (5, 3)) @ cell  # inside: nothing is wrapped
    frame = Frame.make([1, 6, 7, 8, 9], positions, cell, [i < directions for i in range(3)])
    seen = drawing.view(frame).positions
    apart = np.linalg.norm(seen[:, None] - seen, axis=2)
    expected = np.linalg.norm(frame.positions[:, None] - frame.positions, axis=2)
    assert apart == pytest.approx(expected)
    # and no reflection: handedness is physics
    mine = np.linalg.det(seen[1:4] - seen[0])
    theirs = np.linalg.det(frame.positions[1:4] - frame.positions[0])
    assert mine == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize("directions", [0, 1, 2, 3])
def test_one_atom_and_a_line_of_atoms_can_be_turned(directions):
    for positions in ([[0, 0, 0]], [[0, 0, 0], [1.5, 0, 0], [3, 0, 0]]):
        numbers = [6] * len(positions)
        frame = Frame.make(numbers, positions, np.eye(3) * 6, [i < directions for i in range(3)])
        assert np.all(np.isfinite(drawing.view(frame).positions))


def test_sheets_are_seen_from_above_and_slabs_from_the_side():
    def height(layers):  # of the normal, as it is seen
        positions = [[0, 0, 3.0 * k] for k in range(layers)]
        cell = np.diag([12.0, 12.0, 40.0])
        wide = positions + [[x, 10.0, 0] for x in (0, 10)]
        frame = Frame.make([6] * len(wide), wide, cell, [True, True, False])
        return drawing._rotation(frame)[1, 2]

    assert height(1) == pytest.approx(np.cos(np.radians(50)), abs=0.02)
    assert height(4) == pytest.approx(np.cos(np.radians(10)), abs=0.02)


def test_strays_are_brought_back_along_periodic_directions_only():
    atoms = Atoms("H3", [[0.5, 1, 1], [-0.5, 1, 1], [21.0, 1, 21.0]], cell=np.eye(3) * 10)
    atoms.pbc = (True, True, False)
    seen = drawing._wrapped(Frame.from_atoms(atoms))
    assert seen == pytest.approx(np.array([[0.5, 1, 1], [-0.5, 1, 1], [1.0, 1, 21.0]]))


def test_bonds_do_not_cross_the_boundary():
    sheet = graphene(a=2.46, vacuum=7.5)
    sheet.pbc = (True, True, False)
    assert len(drawing.view(Frame.from_atoms(sheet)).bonds) == 1
    assert len(drawing.view(Frame.from_atoms(molecule("C60"))).bonds) == 90
    assert len(drawing.view(Frame.from_atoms(Atoms("H"))).bonds) == 0


def drawn(frame, **options):
    figure = new(2.0, width=2.0)
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))
    drawing.draw(axes, frame, **options)
    figure.canvas.draw()
    (collection,) = (c for c in axes.collections if isinstance(c, PatchCollection))
    return axes, collection


def test_nearer_atoms_are_drawn_later_and_darker():
    frame = Frame.from_atoms(molecule("C60"))
    _, collection = drawn(frame)
    discs = [
        (path.get_extents().intervalx.mean(), colour)
        for path, colour in zip(collection.get_paths(), collection.get_facecolor(), strict=True)
        if colour[3] > 0
    ]
    depths = np.sort(drawing.view(frame).positions[:, 2])
    order = np.argsort(drawing.view(frame).positions[:, 2], kind="stable")
    middles = drawing.view(frame).positions[order, 0]
    assert len(discs) == 60
    assert [x for x, _ in discs] == pytest.approx(middles, abs=1e-6)
    greys = [colour[0] for _, colour in discs]
    assert greys == sorted(greys, reverse=True)
    assert greys[0] > greys[-1] + 0.1
    assert depths[0] < depths[-1]


@pytest.mark.parametrize("frame", [frame_with(k) for k in range(4)], ids="0123")
def test_everything_is_inside_the_panel(frame):
    axes, collection = drawn(frame)
    left, right = axes.get_xlim()
    for path in collection.get_paths():
        x, y = path.vertices.T
        assert left <= x.min() <= x.max() <= right
        assert axes.get_ylim()[0] <= y.min() <= y.max() <= axes.get_ylim()[1]
    assert right - left == pytest.approx(drawing.fitting_width(frame))


def test_a_scale_can_be_given():
    axes, _ = drawn(frame_with(3), width=33.0)
    assert np.ptp(axes.get_xlim()) == pytest.approx(33.0)


def test_colours_are_named_where_there_are_several():
    axes, _ = drawn(frame_with(3))
    assert [text.get_text() for text in axes.texts] == ["Na", "Cl"]
    assert not drawn(frame_with(3), legend=False)[0].texts
    assert not drawn(Frame.from_atoms(bulk("Si")))[0].texts


def test_the_same_frame_gives_the_same_bytes(silicon):
    one, other = (png_uri(drawing.picture(silicon)) for _ in range(2))
    assert one == other
    assert one.startswith("data:image/png;base64,")
