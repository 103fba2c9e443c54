"""Who is on a map: as many as the limits allow, drawn evenly, and who is left out is said."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from hypothesis import given
from hypothesis import strategies as st

from trainspot.common.errors import InputError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels, Origin
from trainspot.maps import choice
from trainspot.maps.choice import Limits, Note, choose


def frames(count, first=0, size=1):
    """Rattled cells of silicon that differ."""
    made = []
    for seed in range(first, first + count):
        atoms = bulk("Si", cubic=True) * (size, 1, 1)
        atoms.rattle(0.05, seed=seed)
        labels = Labels(-1.0, np.zeros((len(atoms), 3)), None, "x")
        made.append(Frame.from_atoms(atoms, labels=labels, origin=Origin("rattle")))
    return Dataset.from_frames(made)


def chosen(dataset, others=None, seed=0, orbitals=True, **limits):
    others = dataset[:0] if others is None else others
    return choose(dataset, others, Limits(**limits), seed, orbitals=orbitals)


# ── as many as the limits allow ───────────────────────────────────────────────
def test_frames_hold_as_many_atoms_together_as_they_may():
    mine, theirs = frames(60), frames(200, first=100)
    kept, met, notes = chosen(mine, theirs, total=8 * 45 + 7)
    assert (len(kept), len(met)) == (23, 22)
    assert notes == [Note("Drawn at random: 45 of 260 frames, 367 atoms in all", drawn=True)]


def test_frames_of_different_sizes_count_by_their_atoms():
    mine = Dataset.concatenate([frames(30), frames(10, first=50, size=3)])
    kept, _, notes = chosen(mine, total=200)
    assert 200 - 24 < int(kept.n_atoms.sum()) <= 200
    (note,) = notes
    assert note.text == f"Drawn at random: {len(kept)} of 40 frames, 200 atoms in all"


def test_the_same_seed_draws_the_same_frames_in_their_order():
    mine = frames(60)
    first, again, other = (chosen(mine, total=240, seed=s)[0].ids for s in (1, 1, 2))
    assert first == again != other
    assert first == sorted(first, key=mine.ids.index)
    more = chosen(mine, total=264, seed=1)[0].ids
    assert set(first) < set(more)


def test_room_for_everybody_draws_nobody():
    mine, _, notes = chosen(frames(5), total=40)
    assert (len(mine), notes) == (5, [])
    both = chosen(frames(5), total=40, frames=3)
    assert both[2] == [Note("Drawn at random: 3 of 5 frames", "--max-frames", drawn=True)]


@given(st.integers(0, 30), st.integers(0, 30))
def test_shares_add_up_and_never_fall(mine, theirs):
    parts = [range(mine), range(theirs)]
    found = [choice._shares(parts, count) for count in range(mine + theirs + 1)]
    assert [a + b for a, b in found] == list(range(mine + theirs + 1))
    assert all(0 <= a <= mine and 0 <= b <= theirs for a, b in found)
    assert all(x[0] <= y[0] and x[1] <= y[1] for x, y in itertools.pairwise(found))
    assert all(a >= min(mine, (a + b) / 2) for a, b in found)


# ── who has no place ──────────────────────────────────────────────────────────
def test_isolated_atoms_are_left_out_in_a_periodic_box_too_but_not_primitive_cells():
    alone = [Frame.from_atoms(Atoms("Si", cell=[15.0] * 3, pbc=periodic)) for periodic in (0, 1)]
    mixed = Dataset.from_frames([*alone, Frame.from_atoms(bulk("Mo"))])
    kept, _, notes = chosen(mixed)
    assert kept.ids == mixed.ids[2:]
    assert notes == [Note("Left out: 2 isolated atoms")]


def test_elements_without_orbitals_are_left_out_and_said_so():
    other = Frame.from_atoms(Atoms("SiBkEs", [[0, 0, 0], [0, 0, 3.0], [0, 3.0, 0]]))
    mixed = Dataset.concatenate([frames(3), Dataset.from_frames([other])])
    kept, _, notes = chosen(mixed)
    assert kept.ids == mixed.ids[:3]
    assert [str(note) for note in notes] == [
        "Left out: 1 frame with Bk, Es, of which the ANO-RCC basis has no orbitals."
    ]
    assert len(chosen(mixed, orbitals=False)[0]) == 4
    with pytest.raises(InputError, match="no frame is left for a map; Left out: 1 frame with Bk"):
        chosen(mixed[3:])
