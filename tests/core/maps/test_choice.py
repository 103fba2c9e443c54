"""Who is on a map: as many as there is time for, drawn evenly, and who is left out is said."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, graphene
from hypothesis import given
from hypothesis import strategies as st

from trainspot.common.errors import InputError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels, Origin
from trainspot.geometry import pairs_within
from trainspot.maps import choice, cost, sorep
from trainspot.maps.choice import WORTH, Limits, Note, choose
from trainspot.maps.orbitals import integrals

CONSTANTS = ("_FRAME", "_WAVE", "_PAIR", "_BLOCK", "_PHASE", "_CUBE", "_TABLE")


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


# ── as many as there is time for ──────────────────────────────────────────────
def test_time_is_kept_and_not_wasted():
    mine, theirs = frames(60), frames(200, first=100)
    one = float(cost.frames(mine)[0])
    tables = cost.tables([14])
    seconds = 2 * tables + 45.5 * one
    found, met, notes = chosen(mine, theirs, seconds=seconds)
    count = len(found) + len(met)
    assert count == int((seconds - tables) / one)
    assert len(found) == count - count // 2
    (note,) = notes
    assert str(note) == (
        f"Drawn at random: {count} of 260 frames, as many as one core describes in about "
        f"{seconds:.0f} s."
    )


def test_the_same_seed_draws_the_same_frames_in_their_order():
    mine = frames(60)
    seconds = 30 * float(cost.frames(mine)[0]) + cost.tables([14]) + 1.0
    first, again, other = (chosen(mine, seconds=seconds, seed=s)[0].ids for s in (1, 1, 2))
    assert first == again != other
    assert first == sorted(first, key=mine.ids.index)
    more = chosen(mine, seconds=seconds + 0.3, seed=1)[0].ids
    assert set(first) < set(more)


def test_time_for_everybody_draws_nobody():
    mine, _, notes = chosen(frames(5), seconds=100.0)
    assert (len(mine), notes) == (5, [])
    both = chosen(frames(5), seconds=100.0, frames=3)
    assert both[2] == [Note("Drawn at random: 3 of 5 frames", "--max-frames", drawn=True)]


def test_frames_that_would_take_too_long_are_left_out_and_said_so():
    small, large = frames(5), frames(2, first=50, size=20)
    mine = Dataset.concatenate([small, large])
    seconds = 0.5 * WORTH * float(cost.frames(large)[0])
    kept, _, notes = chosen(mine, seconds=seconds)
    assert kept.ids == small.ids
    (note,) = notes
    assert str(note).startswith("Left out: 2 frames that would take more than ")
    assert str(note).endswith(" s each to describe.")
    with pytest.raises(InputError, match="2 of 3 frames would take more than"):
        chosen(Dataset.concatenate([small[:1], large]), seconds=seconds)


def test_the_integrals_of_many_elements_take_too_long():
    atoms = Atoms("SiCGeSnPbNPO", np.diag([3.0 * n for n in range(8)])[:, :3])
    atoms.positions[3:, 0] = 3.0 * np.arange(5)
    with pytest.raises(InputError, match="integrals between 8 elements take too long"):
        chosen(Dataset.from_frames([Frame.from_atoms(atoms)]), seconds=10.0)


@given(st.integers(0, 30), st.integers(0, 30))
def test_shares_add_up_and_never_fall(mine, theirs):
    parts = [range(mine), range(theirs)]
    found = [choice._shares(parts, count) for count in range(mine + theirs + 1)]
    assert [a + b for a, b in found] == list(range(mine + theirs + 1))
    assert all(0 <= a <= mine and 0 <= b <= theirs for a, b in found)
    assert all(x[0] <= y[0] and x[1] <= y[1] for x, y in itertools.pairwise(found))
    assert all(a >= min(mine, (a + b) / 2) for a, b in found)


# ── who has no place ──────────────────────────────────────────────────────────
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


# ── what it costs ─────────────────────────────────────────────────────────────
def only(monkeypatch, name):
    """Costs become a count of one thing."""
    for other in CONSTANTS:
        monkeypatch.setattr(cost, other, float(other == name))


CELLS = [
    (bulk("Si"), (1, 1, 1)),
    (bulk("Si", cubic=True) * (3, 1, 2), (1, 1, 1)),
    (bulk("Mo", cubic=True), (1, 1, 1)),
    (graphene(size=(2, 3, 1), vacuum=8.0), (1, 1, 0)),
    (bulk("C"), (0, 0, 1)),
    (Atoms("OH2", [[0, 0, 0], [0.9, 0.5, 0], [-0.2, -0.6, 0.8]]), (0, 0, 0)),
]


@pytest.mark.parametrize(("atoms", "pbc"), CELLS)
def test_wave_vectors_are_counted_as_they_are_laid(atoms, pbc, monkeypatch):
    atoms = atoms.copy()
    atoms.pbc = pbc
    frame = Frame.from_atoms(atoms)
    only(monkeypatch, "_WAVE")
    assert cost.frames(Dataset.from_frames([frame])) == [len(sorep.mesh(frame)[0])]


@pytest.mark.parametrize(("atoms", "pbc"), CELLS[:5])
def test_pairs_are_counted_in_uniform_matter(atoms, pbc, monkeypatch):
    atoms = atoms.copy()
    atoms.pbc = pbc
    frame = Frame.from_atoms(atoms)
    number = int(frame.numbers[0])
    expected = len(pairs_within(frame, integrals(number, number).cutoff).first)
    only(monkeypatch, "_PAIR")
    (found,) = cost.frames(Dataset.from_frames([frame]))
    assert found == pytest.approx(expected, rel=0.1)
    only(monkeypatch, "_BLOCK")
    (blocks,) = cost.frames(Dataset.from_frames([frame]))
    assert blocks == pytest.approx(found * {6: 4, 14: 4, 42: 9}[number] ** 2)


def test_orbitals_tables_and_frames_are_counted(monkeypatch):
    water = Frame.from_atoms(CELLS[5][0])
    both = Dataset.from_frames([water, Frame.from_atoms(bulk("Mo"))])
    only(monkeypatch, "_FRAME")
    assert cost.frames(both).tolist() == [1.0, 1.0]
    only(monkeypatch, "_CUBE")
    waves = len(sorep.mesh(both[1])[0])
    assert cost.frames(both).tolist() == [6**3, waves * 9**3]
    only(monkeypatch, "_BLOCK")
    assert cost.frames(both)[0] == 0.5 * 6**2
    only(monkeypatch, "_PHASE")
    assert cost.frames(both)[0] == 0.5 * 6**2
    only(monkeypatch, "_TABLE")
    assert cost.tables([8, 1, 8, 42]) == 9
    assert cost.frames(both[:0]).shape == (0,)
