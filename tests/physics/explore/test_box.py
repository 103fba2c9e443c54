"""Into the LAMMPS box and back: the same physics and, where nothing moved, the same frame."""

from __future__ import annotations

import numpy as np
import pytest
from ase.calculators.lammps import Prism
from ase.geometry import get_distances
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trainspot.data.frames import Frame
from trainspot.explore import deck
from trainspot.explore.box import MARGIN, ROOM, LammpsBox, restored, working_cell

cells = arrays(np.float64, (3, 3), elements=st.floats(-8, 8, width=32))
axes = st.tuples(st.booleans(), st.booleans(), st.booleans())


def _frame(cell, pbc):
    assume(abs(np.linalg.det(cell)) > 20)
    sites = np.random.default_rng(0).uniform(-1, 2, (5, 3)) @ cell  # of any image
    return Frame.make([6, 14, 8, 6, 1], sites, cell, pbc)


@settings(max_examples=150, deadline=None)
@given(cells, axes)
def test_the_box_is_what_lammps_wants(cell, pbc):
    box = LammpsBox.of(_frame(cell, pbc))
    lengths = np.diag(box.cell)
    assert np.all(lengths > 0)
    assert np.allclose(np.triu(box.cell, 1), 0, atol=1e-12)
    for row, column in ((1, 0), (2, 0), (2, 1)):
        assert abs(box.cell[row, column]) <= lengths[column] * (0.5 + 1e-9)
        if not (pbc[row] and pbc[column]):
            assert abs(box.cell[row, column]) < 1e-9
    assert np.allclose(box.rotation @ box.rotation.T, np.eye(3), atol=1e-9)
    assert round(np.linalg.det(box.mixing)) == 1


@settings(max_examples=150, deadline=None)
@given(cells, axes)
def test_there_and_back_is_the_same_frame(cell, pbc):
    frame = _frame(cell, pbc)
    box = LammpsBox.of(frame)
    positions, back = box.outward(frame, box.inward(frame.positions), box.cell)
    assert np.allclose(positions, frame.positions, atol=1e-9)
    assert np.allclose(back, frame.cell, atol=1e-9)


@settings(max_examples=80, deadline=None)
@given(cells, axes)
def test_distances_are_those_of_the_frame(cell, pbc):
    frame = _frame(cell, pbc)
    box = LammpsBox.of(frame)
    inside = box.inward(frame.positions)
    _, ours = get_distances(inside, inside, cell=box.cell, pbc=frame.pbc)
    _, theirs = get_distances(
        frame.positions, frame.positions, cell=working_cell(frame), pbc=frame.pbc
    )
    assert np.allclose(ours, theirs, atol=1e-8)


@settings(max_examples=80, deadline=None)
@given(cells, axes)
def test_a_strain_in_the_box_is_the_strain_of_the_frame(cell, pbc):
    """A barostat that presses on one axis more than on others, and vectors that were shortened."""
    frame = _frame(cell, pbc)
    box = LammpsBox.of(frame)
    strain = np.eye(3) + 0.01 * np.arange(9).reshape(3, 3)
    _, strained = box.outward(frame, box.inward(frame.positions), box.cell @ strain)
    expected = working_cell(frame) @ box.rotation.T @ strain @ box.rotation
    assert np.allclose(strained, restored(frame, expected), atol=1e-9)


def test_a_prism_that_shortens_vectors_strains_another_cell():
    """Why ``Prism`` is given vectors that are short already."""
    cell = np.array([[3.0, 0.0, 0.0], [4.0, 5.0, 0.0], [0.0, 0.0, 6.0]])
    prism = Prism(cell, reduce_cell=True)
    strain = np.diag([1.1, 1.0, 1.0])
    assert np.abs(prism.update_cell(prism.cell @ strain) - cell @ strain).max() > 0.1
    frame = Frame.make([6], [[0.0, 0.0, 0.0]], cell, [True] * 3)
    box = LammpsBox.of(frame)
    assert not np.array_equal(box.mixing, np.eye(3))
    _, strained = box.outward(frame, frame.positions, box.cell @ strain)
    assert np.allclose(strained, cell @ strain, atol=1e-12)


def test_the_data_file_holds_every_digit(mixed):
    box = LammpsBox.of(mixed)
    text = deck.data_file(mixed, box)
    assert text == deck.data_file(mixed, box)
    atoms = text.partition("Atoms # atomic")[2].split("\n")[2:-1]
    table = np.array([line.split() for line in atoms], dtype=np.float64)
    assert table[:, 0].tolist() == list(range(1, len(mixed) + 1))
    assert np.abs(table[:, 2:] - box.inward(mixed.positions)).max() < 1e-14
    (tilts,) = (line.split()[:3] for line in text.splitlines() if line.endswith("xy xz yz"))
    assert [float(tilt) for tilt in tilts] == box.cell[[1, 2, 2], [0, 0, 1]].tolist()


def test_vacuum_is_made_perpendicular_and_given_back(sheet):
    cell = working_cell(sheet)
    assert np.allclose(cell[1] @ cell[[0, 2]].T, 0, atol=1e-12)
    assert np.isclose(np.linalg.norm(cell[1]), 25.0)  # height of the tilted vector above the plane
    assert np.array_equal(cell[[0, 2]], sheet.cell[[0, 2]])
    assert np.linalg.det(cell) > 0
    assert np.array_equal(restored(sheet, cell * 1.1)[1], sheet.cell[1])


@pytest.mark.parametrize("height", [0.0, 3.0])
def test_too_little_room_is_enlarged(cluster, height):
    frame = Frame.make(cluster.numbers, cluster.positions, np.eye(3) * height)
    box = LammpsBox.of(frame)
    extent = np.ptp(frame.positions, axis=0)
    assert np.allclose(np.diag(box.cell), extent + 2 * MARGIN)
    inside = box.inward(frame.positions)
    assert np.all(inside > ROOM)
    assert np.all(inside < np.diag(box.cell) - ROOM)


def test_a_left_handed_cell_becomes_right_handed_and_comes_back(mixed):
    assert np.linalg.det(mixed.cell) < 0
    assert np.allclose(working_cell(mixed), -mixed.cell)
    assert np.allclose(restored(mixed, working_cell(mixed)), mixed.cell)
