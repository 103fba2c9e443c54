"""Frames: identity, the grid, immutability, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from trainspot.common.errors import InputError
from trainspot.data.frames import GRID, Frame, Labels, Origin, frame_id, quantise

COORDINATES = st.floats(-1e6, 1e6, allow_nan=False)
POSITIONS = hnp.arrays(np.float64, st.tuples(st.integers(1, 6), st.just(3)), elements=COORDINATES)


# ── the grid ──────────────────────────────────────────────────────────────────
@given(hnp.arrays(np.float64, 5, elements=st.floats(-2.2e7, 2.2e7)))
@example(np.array([2.2e7, -2.2e7, 0.1, 1 / 3, 5e-9]))
def test_quantising_twice_changes_nothing(values):
    once = quantise(values)
    assert np.array_equal(quantise(once), once)
    # half a grid step, and what a double of that size can resolve
    assert np.all(np.abs(once - values) <= 0.5 * GRID + np.spacing(np.abs(values)))


def test_quantising_leaves_no_negative_zero_and_keeps_its_input():
    values = np.array([-1e-12, -0.0, 1.23456789012])
    once = quantise(values)
    assert not np.signbit(once[:2]).any()
    assert values[2] == 1.23456789012
    assert once[2] == pytest.approx(1.23456789, abs=1e-15)


@given(st.integers(-(10**12), 10**12))
def test_decimals_on_the_grid_are_not_changed(points):
    """A file with eight decimals, as most programs write, comes back as it was."""
    whole, rest = divmod(abs(points), 10**8)
    value = float(f"{'-' * (points < 0)}{whole}.{rest:08d}")
    assert quantise([value])[0] == value


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e8])
def test_what_does_not_fit_the_grid_is_refused(value):
    with pytest.raises(InputError, match="not finite or beyond"):
        quantise([value])


# ── identity ──────────────────────────────────────────────────────────────────
def test_the_identity_is_pinned(silicon):
    # frame ids stand in stored datasets: a change here orphans them
    assert silicon.id[:16] == "1fe9c50277f3d3b6"


@given(POSITIONS)
def test_the_identity_survives_text_with_eight_decimals(positions):
    frame = Frame.make([6] * len(positions), positions)
    text = [[f"{x:.8f}" for x in row] for row in frame.positions]
    again = Frame.make(frame.numbers, np.array(text, dtype=float))
    assert again.id == frame.id
    assert np.array_equal(again.positions, frame.positions)


@given(POSITIONS)
def test_the_identity_survives_single_bits_of_noise(positions):
    frame = Frame.make([6] * len(positions), positions)
    for towards in (-np.inf, np.inf):
        noisy = np.nextafter(frame.positions, towards)
        assert Frame.make(frame.numbers, noisy).id == frame.id


def test_the_identity_knows_species_positions_cell_and_periodicity(silicon):
    moved = silicon.positions.copy()
    moved[3, 1] += GRID
    numbers = silicon.numbers.copy()
    numbers[0] = 32
    others = [
        Frame.make(silicon.numbers, moved, silicon.cell, True),
        Frame.make(numbers, silicon.positions, silicon.cell, True),
        Frame.make(silicon.numbers, silicon.positions, silicon.cell * 1.01, True),
        Frame.make(silicon.numbers, silicon.positions, silicon.cell, [True, True, False]),
        Frame.make(silicon.numbers, silicon.positions[::-1], silicon.cell, True),
    ]
    assert len({silicon.id, *(frame.id for frame in others)}) == 6


def test_the_identity_ignores_labels_origin_split_and_metadata(silicon):
    other = silicon.with_(
        labels=Labels(energy=1.0), origin=Origin("md"), split="test", info={"a": 1}
    )
    assert other.id == silicon.id
    assert frame_id(silicon.numbers, silicon.positions, silicon.cell, silicon.pbc) == silicon.id


# ── making ────────────────────────────────────────────────────────────────────
def test_a_frame_does_not_share_memory_and_cannot_be_changed(silicon):
    positions = np.zeros((2, 3))
    positions[1] = 1.0
    charges = np.array([1.0, 2.0])
    frame = Frame.make(
        [14, 14],
        positions,
        labels=Labels(forces=positions, stress=np.eye(3)),
        arrays={"charges": charges},
    )
    positions[:] = 9.0
    charges[:] = 9.0
    assert frame.positions[1, 0] == frame.labels.forces[1, 0] == 1.0
    assert frame.arrays["charges"][0] == 1.0
    for array in (
        *(frame.numbers, frame.positions, frame.cell, frame.pbc),
        *(frame.labels.forces, frame.labels.stress, frame.arrays["charges"]),
    ):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    with pytest.raises(AttributeError):
        frame.id = "other"


def test_atoms_made_from_a_frame_are_free(silicon):
    atoms = silicon.to_atoms()
    atoms.positions += 1.0
    atoms.cell[0, 0] = 9.0
    atoms.numbers[0] = 6
    atoms.pbc[0] = False
    assert silicon.id == Frame.from_atoms(silicon.to_atoms()).id
    assert len(silicon) == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], np.zeros((0, 3))), "at least one atom"),
        (([0], [[0, 0, 0]]), "between 1 and 118"),
        (([119], [[0, 0, 0]]), "between 1 and 118"),
        (([6.5], [[0, 0, 0]]), "whole numbers"),
        (([6], [[0, 0]]), r"positions have shape \(1, 2\)"),
        (([6, 6], [[0, 0, 0]]), r"positions have shape \(1, 3\), not \(2, 3\)"),
        (([6], [[0, 0, 0]], [1, 1, 1]), "cell has shape"),
        (([6], [[0, 0, np.nan]]), "not finite"),
        (([6], [[0, 0, 0]], None, True), "not independent"),
        (([6], [[0, 0, 0]], np.zeros((3, 3)), [False, False, True]), "not independent"),
        (([6], [[0, 0, 0]], [[1, 0, 0], [2, 0, 0], [0, 0, 1]], True), "not independent"),
    ],
)
def test_unusable_geometries_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Frame.make(*arguments)


def test_only_periodic_vectors_must_be_independent():
    coplanar = [[3, 0, 0], [0, 3, 0], [3, 3, 0]]
    assert Frame.make([6], [[0, 0, 0]], coplanar, [True, True, False]).pbc.tolist()[2] is False
    assert Frame.make([6], [[0, 0, 0]], [[0, 0, 0], [0, 0, 0], [0, 0, 3]], [False, False, True])
    left_handed = [[0, 3, 0], [3, 0, 0], [0, 0, 3]]
    assert Frame.make([6], [[0, 0, 0]], left_handed, True).pbc.all()


def test_from_atoms_takes_the_geometry_only():
    atoms = Atoms("CO", [[0, 0, 0], [0, 0, 1.1]], info={"a": 1})
    frame = Frame.from_atoms(atoms, split="train")
    assert frame.numbers.tolist() == [6, 8]
    assert not frame.info
    assert frame.split == "train"
    assert not frame.labels


# ── labels ────────────────────────────────────────────────────────────────────
def test_labels_are_true_if_anything_is_labelled():
    assert not Labels(theory="pbe")
    assert Labels(energy=0.0)
    assert Labels(forces=np.zeros((1, 3)))
    assert Labels(stress=np.zeros((3, 3)))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (Labels(energy=np.nan), "energy is not finite"),
        (Labels(energy=np.array([1.0, 2.0])), None),
        (Labels(forces=np.zeros((2, 3))), r"forces has shape \(2, 3\), not \(1, 3\)"),
        (Labels(forces=np.full((1, 3), np.inf)), "forces is not finite"),
        (Labels(stress=np.zeros(5)), "stress has shape"),
        (Labels(stress=np.full((3, 3), np.nan)), "stress is not finite"),
    ],
)
def test_unusable_labels_are_refused(labels, message):
    with pytest.raises((InputError, TypeError), match=message):
        Frame.make([6], [[0, 0, 0]], labels=labels)
    with pytest.raises((InputError, TypeError), match=message):
        Frame.make([6], [[0, 0, 0]]).with_(labels=labels)


def test_voigt_stress_is_unfolded_in_the_order_of_ase():
    stress = Labels(stress=np.arange(6.0)).checked(1).stress
    assert np.array_equal(stress, [[0, 5, 4], [5, 1, 3], [4, 3, 2]])


# ── changes ───────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("name", ["numbers", "positions", "cell", "pbc", "id"])
def test_the_geometry_of_a_frame_cannot_be_replaced(silicon, name):
    with pytest.raises(ValueError, match=r"Frame\.make"):
        silicon.with_(**{name: getattr(silicon, name)})


@pytest.mark.parametrize("values", [[1.0], 3.0, np.zeros((9, 2))])
def test_per_atom_extras_need_one_row_an_atom(silicon, values):
    with pytest.raises(InputError, match="array 'q' has shape"):
        silicon.with_(arrays={"q": values})
    with pytest.raises(InputError, match="array 'q' has shape"):
        Frame.make(silicon.numbers, silicon.positions, arrays={"q": values})
