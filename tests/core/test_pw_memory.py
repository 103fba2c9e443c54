"""The estimate of pw.x's memory: its parts against counting, and what it must grow with."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from hypothesis import given
from hypothesis import strategies as st

from trainspot.common.errors import InputError
from trainspot.data.frames import Frame
from trainspot.label.pw_memory import _grid_points, _kpoints, memory
from trainspot.label.quantumespresso import QuantumEspressoSettings

VALENCES = {"Si": 4.0, "C": 4.0, "Fe": 16.0}


def settings(**changes):
    given = {"ecutwfc": 30, "ecutrho": 240, "kpoints_mesh": (2, 2, 2), "kpoints_offset": (1, 1, 1)}
    return QuantumEspressoSettings(**(given | changes))


def silicon(n=1):
    return Frame.from_atoms(bulk("Si", cubic=True) * (n, 1, 1))


axis = st.tuples(st.integers(1, 5), st.integers(0, 1))


@given(st.tuples(axis, axis, axis))
def test_kpoints_are_counted_up_to_time_reversal(axes):
    mesh = tuple(n for n, _ in axes)
    offset = tuple(bit for _, bit in axes)
    steps = [
        [(2 * i + bit) % (2 * n) for i in range(n)] for n, bit in zip(mesh, offset, strict=True)
    ]
    points = set(itertools.product(*steps))  # in halves of a step, modulo a reciprocal vector
    opposite = {p: tuple(-x % (2 * n) for x, n in zip(p, mesh, strict=True)) for p in points}
    # A shift that is not half an odd number leaves the mesh: pw.x then keeps all of them.
    expected = len({frozenset((p, q)) for p, q in opposite.items()})
    assert _kpoints(mesh, offset) == expected


def test_the_real_grid_holds_the_density():
    # Printed by pw.x 7.2 for cubic silicon with 16/64, 30/120 and 30/240 Ry: 27, 36, 54.
    cell = np.eye(3) * 5.43 / 0.529177
    assert [_grid_points(cell, e) for e in (64, 120, 240)] == [27**3, 36**3, 54**3]


def test_what_memory_grows_with():
    base = memory(silicon(), settings(), VALENCES)
    assert 0.03 < base < 0.06  # pw.x says 0.0485
    assert 1.9 < memory(silicon(2), settings(), VALENCES) / base < 2.5  # the grids lead
    large, larger = (memory(silicon(n), settings(), VALENCES) for n in (32, 64))
    assert 3.5 < larger / large < 4.1  # bands times plane waves
    assert memory(silicon(), settings(ecutwfc=60, ecutrho=480), VALENCES) > 2.0 * base
    assert memory(silicon(), settings(spin=True), VALENCES) > 1.5 * base
    fixed = settings(occupations="fixed")
    assert memory(silicon(), fixed, VALENCES) < base
    centred = settings(kpoints_mesh=(1, 1, 1), kpoints_offset=(0, 0, 0))
    shifted = settings(kpoints_mesh=(1, 1, 1))
    assert memory(silicon(32), centred, VALENCES) < 0.6 * memory(silicon(32), shifted, VALENCES)


def test_d_electrons_bring_more_projectors():
    iron = Frame.from_atoms(Atoms("Fe", cell=[4.0] * 3, pbc=True))
    light = memory(iron, settings(), {"Fe": 8.0})
    assert memory(iron, settings(), {"Fe": 8.001}) > light


def test_a_frame_that_cannot_be_labelled_has_no_memory():
    with pytest.raises(InputError, match="no cell along a non-periodic axis"):
        memory(Frame.make([14], [[0, 0, 0]]), settings(), VALENCES)
