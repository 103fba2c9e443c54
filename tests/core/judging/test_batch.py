"""Evaluating a committee in batches."""

from __future__ import annotations

import numpy as np
import pytest

from trainspot.common.errors import InputError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Labels
from trainspot.evaluate.batch import evaluate, member_names
from trainspot.models.potential import Potential


class Counting(Potential):
    """Predicts simple functions of the frame and counts what it is asked."""

    kind = "counting"
    cutoff = 3.0
    numbers = (14,)

    def __init__(self, factor, graph_key="same", calls=None):
        self.factor, self.graph_key = factor, graph_key
        self.calls = calls if calls is not None else []

    @classmethod
    def recognises(cls, path):
        return False

    @classmethod
    def load(cls, path, *, dtype="float64", device="cpu"):
        return cls(1.0)

    def prepare(self, frames):
        self.calls.append([len(frame) for frame in frames])
        return list(frames)

    def predict(self, prepared):
        return [
            Labels(
                self.factor * float(f.positions.sum()),
                self.factor * f.positions,
                np.eye(3) * self.factor if f.pbc.any() else None,
            )
            for f in prepared
        ]


def test_counting_is_a_potential():
    assert isinstance(Counting(1.0), Potential)


@pytest.mark.parametrize("max_atoms", [1, 5, 7, 1000])
def test_batches_do_not_change_the_result(make_dataset, max_atoms):
    dataset = Dataset.concatenate([make_dataset(5), make_dataset(3, seed=2, pbc=False)])
    members = [Counting(1.0), Counting(2.0)]
    done = []
    found = evaluate(dataset, members, max_atoms=max_atoms, progress=done.append)
    positions = dataset.column("positions")
    np.testing.assert_allclose(found.forces, [positions, 2 * positions])
    np.testing.assert_allclose(found.energy[0], [f.positions.sum() for f in dataset])
    assert found.has_stress.tolist() == [True] * 5 + [False] * 3
    assert not found.stress[:, 5:].any()
    assert found.ids == dataset.ids
    assert sum(done) == len(dataset)
    sizes = [n for batch in members[0].calls for n in batch]
    assert sizes == dataset.n_atoms.tolist()
    assert all(sum(batch) <= max_atoms or len(batch) == 1 for batch in members[0].calls)


def test_graphs_are_shared_by_key_only(make_dataset):
    calls = []
    members = [Counting(1.0, "a", calls), Counting(2.0, "b", calls), Counting(3.0, "a", calls)]
    evaluate(make_dataset(3), members)
    assert len(calls) == 2


def test_a_frame_without_a_members_stress_has_none(make_dataset):
    class NoStress(Counting):
        def predict(self, prepared):
            return [Labels(x.energy, x.forces) for x in super().predict(prepared)]

    found = evaluate(make_dataset(2), [Counting(1.0), NoStress(1.0)])
    assert not found.has_stress.any()


def test_bad_input(make_dataset):
    with pytest.raises(InputError, match="give one model"):
        evaluate(make_dataset(2), [])

    class OnlyCarbon(Counting):
        numbers = (6,)

    with pytest.raises(InputError, match="member_1: the model does not know Si"):
        evaluate(make_dataset(2), [Counting(1.0), OnlyCarbon(1.0)])


def test_no_frames():
    found = evaluate(Dataset.from_frames([]), [Counting(1.0), Counting(2.0)])
    assert len(found) == 0
    found.check_finite()


def test_names(tmp_path):
    first, second = tmp_path / "x" / "a.model", tmp_path / "y" / "b.model"
    assert member_names([first, second]) == ["a", "b"]
    twin = tmp_path / "y" / "a.model"
    assert member_names([first, twin]) == [str(first), str(twin)]
    with pytest.raises(InputError, match="twice"):
        member_names([first, first])
