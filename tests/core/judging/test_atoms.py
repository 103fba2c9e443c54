"""Bars of single atoms: their scale covers what it should, on atoms it was not fitted to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels
from trainspot.data.lattice import periodic_projector
from trainspot.judge.atoms import (
    _interval,
    collect_atoms,
    with_atom_coverage,
)
from trainspot.judge.calibrate import calibrate
from trainspot.judge.pairs import collect_pairs
from trainspot.judge.scoring import prospective
from trainspot.judge.settings import CalibrateSettings, Tolerance
from trainspot.predictions.calibration import MIN_PAIRS
from trainspot.predictions.predictions import Predictions

TOLERANCE = Tolerance(energy=None, forces=0.1, stress=None)
MEMBERS = 4


def planted(rng, count: int, factor: float) -> tuple[Dataset, Predictions]:
    """Frames of 2 to 30 atoms; each atom errs ``factor`` times as much as its members spread."""
    sizes = rng.integers(2, 31, count)
    frames, spoken = [], []
    for number, size in enumerate(sizes.tolist()):
        width = 0.05 * rng.lognormal(0, 0.8, (size, 1))
        forces = rng.normal(size=(size, 3))
        members = forces + width * rng.normal(size=(MEMBERS, size, 3))
        own = members - members.mean(axis=0) + forces + factor * width * rng.normal(size=(size, 3))
        spoken.append(own)
        frames.append(
            Frame.make(
                [14] * size, rng.uniform(0, 9, (size, 3)), labels=Labels(0.0, forces, None, "made"),
                split=("train", "validation", "test")[number % 3],
            )
        )  # fmt: skip
    dataset = Dataset.from_frames(frames)
    predictions = Predictions(
        dataset.column("id"), dataset.column("offsets"), np.zeros((MEMBERS, count)),
        np.concatenate(spoken, axis=1), np.zeros((MEMBERS, count, 3, 3)),
        np.zeros_like(periodic_projector(dataset.column("cell"), dataset.column("pbc"))),
        tuple(f"member_{j}" for j in range(MEMBERS)),
    )  # fmt: skip
    return dataset, predictions


def fitted(dataset, predictions):
    pairs = collect_pairs(dataset, predictions)
    return calibrate(pairs, TOLERANCE, CalibrateSettings(), seed=1)


@pytest.mark.parametrize("factor", [0.4, 2.0])
def test_the_scale_covers_68_percent_of_other_atoms(rng, factor):
    dataset, predictions = planted(rng, 240, factor)
    validation, test = dataset.subset("validation"), dataset.subset("test")
    found = fitted(validation, predictions)
    assert found["forces"].atoms == len(validation.column("numbers"))
    rates = prospective(collect_pairs(test, predictions), found, TOLERANCE)
    scored = with_atom_coverage(rates, found, test, predictions)
    share = scored["forces"].atom_coverage
    # Quantile and share are both of a sample: four standard errors of either.
    atoms = min(len(validation.column("numbers")), len(test.column("numbers")))
    assert share == pytest.approx(0.6827, abs=4 * np.sqrt(2 * 0.22 / atoms))
    assert scored["forces"].atoms == len(test.column("numbers"))
    wide = scored["forces"].atom_within_90
    assert wide == pytest.approx(0.9, abs=4 * np.sqrt(2 * 0.09 / atoms))
    assert scored["forces"].atom_within_90_interval[0] < wide
    nothing = {"atom_coverage": None, "atom_coverage_interval": None, "atoms": None}
    nothing |= {"atom_within_90": None, "atom_within_90_interval": None}
    assert replace(scored["forces"], **nothing) == rates["forces"]


def test_the_interval_knows_that_atoms_come_in_frames(rng):
    """Atoms that are drawn one by one have a binomial interval; copies of one atom do not."""
    dataset, predictions = planted(rng, 90, 1.0)
    made = fitted(dataset, predictions)
    rates = prospective(collect_pairs(dataset, predictions), made, TOLERANCE)
    found = with_atom_coverage(rates, made, dataset, predictions)["forces"]
    low, high = found.atom_coverage_interval
    binomial = 1.96 * np.sqrt(found.atom_coverage * (1 - found.atom_coverage) / found.atoms)
    assert (high - low) / 2 == pytest.approx(binomial, rel=0.25)
    assert (high + low) / 2 == pytest.approx(found.atom_coverage)
    covered, frame = np.repeat([True, False, True], 50), np.repeat([0, 1, 2], 50)
    low, high = _interval(covered, frame)
    alone = np.std([1, 0, 1], ddof=1) / np.sqrt(3)  # of three independent values
    assert low == pytest.approx(2 / 3 - 1.96 * alone, rel=1e-3)
    assert high == 1.0
    assert _interval(covered[:50], frame[:50]) is None


def test_atoms_at_rest_say_nothing(rng):
    dataset, predictions = planted(rng, 60, 1.0)
    made = fitted(dataset, predictions)
    rates = prospective(collect_pairs(dataset, predictions), made, TOLERANCE)
    moving = with_atom_coverage(rates, made, dataset, predictions)["forces"]
    still = dataset.column("offsets")[:-1]  # the first atom of each frame errs by nothing
    forces = predictions.forces.copy()
    forces[:, still] = dataset.column("forces")[still]
    found = with_atom_coverage(rates, made, dataset, replace(predictions, forces=forces))["forces"]
    assert found.atoms == moving.atoms - 60
    assert found.atom_coverage < 0.8


@pytest.mark.parametrize(("frames", "known"), [(MIN_PAIRS - 1, False), (MIN_PAIRS, True)])
def test_atoms_of_few_frames_have_no_scale(rng, frames, known):
    dataset, predictions = planted(rng, 60, 1.0)
    validation = dataset.subset("validation")
    found = fitted(validation[:frames], predictions)["forces"]
    assert (found.atom_sigma is not None) is known


def test_pairs_of_atoms_by_hand(rng):
    dataset, predictions = planted(rng, 6, 1.0)
    pairs = collect_atoms(dataset, predictions)
    delta, error = [], []
    for row in (1, 2, 4, 5):  # 0 and 3 are training frames
        start, stop = dataset.column("offsets")[row : row + 2]
        spoken = predictions.forces[:, start:stop].astype(np.float64)
        reference = dataset[row].labels.forces
        for atom in range(stop - start):
            off = spoken[:, atom] - spoken[:, atom].mean(axis=0)
            delta.append(np.sqrt((off**2).sum() / 3 / (MEMBERS - 1)))
            miss = spoken[:, atom].mean(axis=0) - reference[atom]
            error.append(np.sqrt((miss**2).sum() / 3))
    assert pairs.delta == pytest.approx(np.array(delta), rel=1e-6)
    assert pairs.error == pytest.approx(np.array(error), rel=1e-6)
    everything = collect_atoms(dataset, predictions, trained=())
    assert len(everything.delta) == len(dataset.column("numbers"))


def test_frames_that_are_not_finite_are_left_out(rng):
    dataset, predictions = planted(rng, 6, 1.0)
    forces = predictions.forces.copy()
    forces[2, predictions.offsets[4]] = np.inf
    forces[3, predictions.offsets[4]] = -np.inf
    broken = collect_atoms(dataset, replace(predictions, forces=forces))
    whole = collect_atoms(dataset, predictions)
    size = int(np.diff(predictions.offsets)[4])
    assert len(broken.delta) == len(whole.delta) - size
    assert np.isfinite(broken.delta).all()


def test_nothing_is_claimed_without_a_calibration(rng):
    dataset, predictions = planted(rng, 60, 1.0)
    made = fitted(dataset, predictions)
    made = {"forces": replace(made["forces"], atom_sigma=None)}
    rates = prospective(collect_pairs(dataset, predictions), made, TOLERANCE)
    assert with_atom_coverage(rates, made, dataset, predictions) == rates
    own = fitted(dataset, predictions)
    assert with_atom_coverage(rates, own, dataset[:0], predictions) == rates
