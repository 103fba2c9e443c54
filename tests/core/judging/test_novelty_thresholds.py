"""Thresholds of novelty: ranks of conformal prediction, like with like."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.judge import earlier
from trainspot.judge.novelty import DIMENSIONS, Distances, Novelty, grouped
from trainspot.predictions.domain import Farthest


@given(n=st.integers(1, 200), share=st.floats(0.5, 0.98), seed=st.integers(0, 99))
def test_the_threshold_is_the_conformal_rank(n, share, seed):
    """At most 1 - share of exchangeable frames are novel: P(d > d_(k)) = 1 - k/(n+1)."""
    distances = np.random.default_rng(seed).uniform(1.0, 2.0, n)
    found = Novelty.fit(distances, np.full(n, 3), share)
    if not found.thresholds:
        assert (n + 1) * share > n
        return
    (threshold,) = set(found.thresholds.values())
    rank = 1 + int(np.flatnonzero(np.sort(distances) == threshold)[0])
    assert rank / (n + 1) >= share - 1e-9
    assert (rank - 1) / (n + 1) < share


@given(
    counts=st.tuples(*[st.integers(0, 60)] * 4),
    share=st.floats(0.5, 0.97),
    seed=st.integers(0, 99),
)
def test_like_is_compared_with_like_as_far_as_there_are_enough(counts, share, seed):
    kinds = np.repeat(np.arange(4), counts)
    distances = np.random.default_rng(seed).uniform(1.0, 2.0, len(kinds))
    found = Novelty.fit(distances, kinds, share)
    enough = [math.ceil((len(kinds[near]) + 1) * share - 1e-9) <= len(kinds[near])
              for near in (np.abs(kinds - k) < 1 for k in range(4))]  # fmt: skip
    for k, name in enumerate(DIMENSIONS):
        if enough[k]:
            alone = Novelty.fit(distances[kinds == k], kinds[kinds == k], share)
            assert found.thresholds[name] == alone.thresholds[name]
        elif found.thresholds:  # a quantile of more kinds: of the nearest first
            wider = next(
                one.thresholds[name]
                for most in range(4)
                if (one := _near(distances, kinds, k, most, share)).thresholds
            )
            assert found.thresholds[name] == wider
    assert bool(found.thresholds) == (math.ceil((len(kinds) + 1) * share - 1e-9) <= len(kinds))


@given(n=st.integers(19, 200), share=st.floats(0.5, 0.95), seed=st.integers(0, 99))
def test_frames_and_atoms_together_keep_the_share(n, share, seed):
    """No more validation frames are novel by either measure than the rank of one allows."""
    rng = np.random.default_rng(seed)
    atoms = Farthest(rng.uniform(0.1, 0.3, n), np.zeros(n, dtype=int))
    distances = Distances(rng.uniform(1.0, 2.0, n), atoms)
    both = Novelty.fit(distances, np.full(n, 3), share)
    ratios = [distances.frames / both.thresholds["3D"], atoms.distance / both.atoms["3D"]]
    novel = np.max(ratios, axis=0) > 1.0 + 1e-12
    assert novel.sum() == n - math.ceil(round((n + 1) * share, 9))
    alone = [Novelty.fit(Distances(**{name: one}), np.full(n, 3), share)
             for name, one in (("frames", distances.frames), ("atoms", atoms))]  # fmt: skip
    assert both.thresholds["3D"] >= alone[0].thresholds["3D"]
    assert both.atoms["3D"] >= alone[1].atoms["3D"]
    assert both.atoms["3D"] / alone[1].atoms["3D"] == pytest.approx(
        both.thresholds["3D"] / alone[0].thresholds["3D"]
    )
    assert Novelty(**json.loads(json.dumps(both.to_dict()))) == both


def test_validation_atoms_of_an_element_without_training_atoms_settle_no_threshold():
    distance = np.linspace(0.1, 0.2, 40)
    distance[::2] = np.inf
    atoms = Farthest(distance, np.zeros(40, dtype=int))
    fitted = Novelty.fit(Distances(atoms=atoms), np.full(40, 3), 0.9)
    assert fitted.validation == 20
    assert fitted.thresholds == {}
    assert 0.1 < fitted.atoms["3D"] <= 0.2


def _near(distances, kinds, k, most, share):
    chosen = np.abs(kinds - k) <= most
    return Novelty.fit(distances[chosen], np.zeros(chosen.sum(), dtype=int), share)


def test_thresholds_belong_to_the_frames_of_their_kind():
    found = Novelty(0.95, {"0D": 0.4, "1D": 0.4, "2D": 0.2, "3D": 0.1}, 80)
    wire, sheet = (Frame.make([14], np.zeros((1, 3)), np.eye(3) * 4, pbc)
                   for pbc in ((0, 0, 1), (1, 1, 0)))  # fmt: skip
    molecule = Frame.make([14], np.zeros((1, 3)))
    crystal = Frame.make([14], np.zeros((1, 3)), np.eye(3), True)
    frames = Dataset.from_frames([sheet, molecule, crystal, wire])
    assert found.of(frames).tolist() == [0.2, 0.4, 0.1, 0.4]
    assert grouped(found.thresholds) == [(0.1, ["3D"]), (0.2, ["2D"]), (0.4, ["1D", "0D"])]
    assert Novelty(**json.loads(json.dumps(found.to_dict()))) == found
    assert np.isinf(Novelty().of(frames)).all()


def test_records_with_one_threshold_for_all_are_read():
    old = {"share": 0.95, "threshold": 0.3, "validation": 30, "note": ""}
    read = Novelty(**earlier.novelty(old))
    assert read == Novelty(0.95, dict.fromkeys(DIMENSIONS, 0.3), 30)
    assert Novelty(**earlier.novelty(old | {"threshold": None})).thresholds == {}
    assert earlier.novelty({}) == {}


def test_copies_of_training_frames_among_the_validation_frames_do_not_flag_everything():
    same, kinds = np.zeros(30), np.full(30, 3)
    assert set(Novelty.fit(same, kinds, 0.95, floor=5e-4).thresholds.values()) == {5e-4}
    assert min(Novelty.fit(same, kinds, 0.95).thresholds.values()) > 0
