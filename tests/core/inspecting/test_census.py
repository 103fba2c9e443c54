"""A census against counting by hand, in constant memory."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase.build import graphene
from ase.neighborlist import neighbor_list

from trainspot.augment.record import Fingerprint
from trainspot.data.dataset import CHUNK, Dataset
from trainspot.data.frames import Frame, Labels, Origin
from trainspot.plausibility.sizes import energies_of_atoms
from trainspot.report.dataset.census import take_census
from trainspot.report.dataset.distances import REACH, nearest_by_pair


@pytest.fixture
def census(dataset):
    return take_census(dataset, "mixed.h5")


def test_what_it_is_made_of(census, mixed):
    assert (census.frames, census.atoms) == (12, sum(len(frame) for frame in mixed))
    assert census.elements == {
        "H": (3, 2),
        "C": (8, 1),
        "O": (2, 2),
        "Na": (25, 7),
        "Cl": (25, 7),
    }
    assert census.formulae.counts() == {
        "Na4Cl4": 6,
        "C8": 1,
        "Cl": 1,
        "H": 1,
        "H2O": 1,
        "Na": 1,
        "O": 1,
    }
    assert census.periodicity == {3: 6, 2: 1, 0: 5}
    assert census.strategies == {
        "rattle": {"test": 3, "train": 3},
        "isolated": {"none": 4},
        "input": {"none": 1},
        "md": {"none": 1},
    }
    assert list(census.strategies) == ["rattle", "isolated", "input", "md"]
    assert str(census.fingerprint) == str(Fingerprint([frame.id for frame in mixed[::-1]]))


def test_sizes_and_densities_of_bulk_alone(census, mixed):
    bulk = [frame.to_atoms() for frame in mixed[:6]]
    volumes = [atoms.get_volume() / 8 for atoms in bulk]
    # g/cm³ of u/Å³, with the atomic mass constant in kg
    densities = [
        sum(atoms.get_masses()) * 1.66053907e-27 * 1e27 / v / 8
        for atoms, v in zip(bulk, volumes, strict=True)
    ]
    assert census.volume.count == census.density.count == 6
    assert census.volume.total == pytest.approx(sum(volumes))
    assert census.volume.least == pytest.approx(min(volumes))
    assert census.density.largest == pytest.approx(max(densities), rel=1e-8)
    assert (census.sizes.least, census.sizes.largest, census.sizes.count) == (1, 8, 12)


def test_energies_relative_to_the_isolated_atoms(census, mixed):
    e0 = {11: -1.3, 17: -2.4, 1: -0.5, 8: -3.0}
    expected = [
        (frame.labels.energy - sum(e0[z] for z in frame.numbers.tolist())) / len(frame)
        for frame in mixed
        if frame.labels and len(frame) > 1
    ]
    found, relative = census.energies
    assert relative
    assert found.count == 7
    assert found.total == pytest.approx(sum(expected))
    assert found.least == pytest.approx(min(expected))
    assert census.labels == {"energy": 11, "forces": 11, "stress": 7}
    assert census.theories.counts() == {"pbe": 11}


def test_raw_energies_where_an_atom_is_missing(mixed):
    without = [frame for frame in mixed if not (len(frame) == 1 and frame.numbers[0] == 11)]
    found, relative = take_census(Dataset.from_frames(without), "x").energies
    expected = [f.labels.energy / len(f) for f in mixed if f.labels and len(f) > 1]
    assert not relative
    assert found.total == pytest.approx(sum(expected))


def test_atoms_of_another_level_of_theory_are_no_reference(mixed):
    changed = [
        f.with_(labels=Labels(f.labels.energy, f.labels.forces, None, "other"))
        if len(f) == 1
        else f
        for f in mixed
    ]
    assert not take_census(Dataset.from_frames(changed), "x").energies[1]


def test_forces(census, mixed):
    lengths = np.concatenate(
        [np.linalg.norm(f.labels.forces, axis=1) for f in mixed if f.labels.forces is not None]
    )
    moving = lengths[lengths > 0]
    assert census.still == 4 == len(lengths) - len(moving)
    told = census.to_dict()["force"]
    assert told["count"] == len(moving)
    assert told["least"] == pytest.approx(moving.min())
    assert told["largest"] == pytest.approx(moving.max())
    counts, _ = np.histogram(moving, told["edges"])
    assert counts.tolist() == told["counts"]


def test_distances_agree_with_ase(mixed):
    for frame in (mixed[0], mixed[6], mixed[7]):
        atoms = frame.to_atoms()
        i, j, d = neighbor_list("ijd", atoms, REACH)
        for (a, b), found in nearest_by_pair(frame, REACH).items():
            expected = []
            for one, other in {(a, b), (b, a)}:
                for atom in np.flatnonzero(frame.numbers == one):
                    near = d[(i == atom) & (frame.numbers[j] == other)]
                    expected += [near.min()] if len(near) else []
            assert np.sort(found) == pytest.approx(np.sort(expected))


def test_distances_are_named_by_pair(census):
    found = census.distances.histograms()
    assert list(found) == ["H–H", "H–O", "C–C", "Na–Na", "Na–Cl", "Cl–Cl"]
    assert found["C–C"].count == 8
    assert found["C–C"].least == pytest.approx(2.46 / np.sqrt(3))
    assert found["H–O"].count == 3
    assert not census.sampled


def test_a_sample_is_drawn_by_seed(dataset):
    takes = [take_census(dataset, "x", sample=3, seed=seed) for seed in (1, 1, 2, 3, 4)]
    told = [json.dumps(one.distances.to_dict()) for one in takes]
    assert all(one.sampled and one.distances.frames == 3 for one in takes)
    assert told[0] == told[1]
    assert len(set(told)) > 1


def test_of_several_isolated_atoms_the_lowest_is_the_reference():
    def atom(energy, shift):
        labels = Labels(energy, np.zeros((1, 3)), theory="pbe")
        return Frame.make([14], [[shift, 0.0, 0.0]], labels=labels)

    for energies in ((-2.5, -1.0), (-1.0, -2.5)):
        dataset = Dataset.from_frames(atom(e, float(k)) for k, e in enumerate(energies))
        assert energies_of_atoms(dataset) == {"pbe": {14: -2.5}}


def test_everything_is_json(census):
    told = json.loads(json.dumps(census.to_dict(), allow_nan=False))
    assert told["sets"] == {"none": 6, "train": 3, "validation": 0, "test": 3}
    assert told["isolated_atoms"]["pbe"]["Cl"] == -2.4


def test_nothing_labelled(silicon):
    told = take_census(Dataset.from_frames([silicon]), "x").to_dict()
    assert told["energy_per_atom"] == {"count": 0, "relative_to_isolated_atoms": False}
    assert told["force"] == {"count": 0, "zero": 0}
    assert told["theories"] == {}


class Counted:
    """A column that counts what is read of it."""

    def __init__(self, array):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.most = self.together = 0

    def __len__(self):
        return len(self.array)

    def __getitem__(self, key):
        found = self.array[key]
        rows = len(found) if np.ndim(found) > len(self.shape) - 1 else 1
        self.most, self.together = max(self.most, rows), self.together + rows
        return found


def test_memory_does_not_grow_with_the_dataset():
    number = 3 * CHUNK + 7
    frames = [
        Frame.make(
            [1, 1],
            [[0, 0, 0], [0.7 + 1e-4 * k, 0, 0]],
            labels=Labels(1.0 * k, np.ones((2, 3)), None, "pbe"),
            origin=Origin("ab"[k % 2]),
        )
        for k in range(number)
    ]
    columns = {name: Counted(array) for name, array in Dataset.from_frames(frames).columns.items()}
    census = take_census(Dataset(columns), "x", sample=100)
    assert census.frames == number
    assert census.distances.frames == 100
    for name, column in columns.items():
        per_frame = max(1, round(len(column) / number))
        assert column.most <= per_frame * CHUNK + 1, name  # one chunk at a time
        assert column.together <= 2 * (len(column) + 4), name  # and at most twice


def test_examples_of_every_strategy(dataset, mixed):
    examples = take_census(dataset, "x").examples
    assert {name: len(rows) for name, rows in examples.items()} == {
        "rattle": 4,
        "input": 1,
        "md": 1,
        "isolated": 4,
    }
    assert all(mixed[r].origin.strategy == name for name, rows in examples.items() for r in rows)


def test_every_frame_may_be_an_example(dataset):
    drawn = [take_census(dataset, "x", sample=1, seed=s).examples["rattle"] for s in range(20)]
    assert {row for rows in drawn for row in rows} == set(range(6))


def test_sheets_that_claim_to_be_crystals_are_pointed_out(silicon):
    sheet = graphene(vacuum=7.5)
    frames = [silicon]
    for pbc in ((True, True, False), (True, True, True)):
        sheet.pbc = pbc
        frames.append(Frame.from_atoms(sheet))
    whole = take_census(Dataset.from_frames(frames), "a.h5")
    (remark,) = whole.remarks
    assert remark.startswith("1 of 3 frames measured: 8 Å or more without atoms along a periodic")
    assert remark.endswith("in the campaign file.")
    assert take_census(Dataset.from_frames(frames[:2]), "a.h5").remarks == []
