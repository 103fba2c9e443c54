"""Pairs of disagreement and error: which frames make one, and that they survive being kept."""

from __future__ import annotations

import json

import numpy as np
import pytest

from trainspot.common.errors import DataError
from trainspot.judge.pairs import Pairs, collect_pairs


def test_collected_pairs_know_what_was_trained_on(make_dataset, predict):
    train, validation = make_dataset(4, split="train"), make_dataset(3, seed=5, split="validation")
    dataset = train.merge(validation)
    pairs = collect_pairs(dataset, predict(dataset))
    assert pairs.held_out.tolist() == [False] * 4 + [True] * 3
    assert len(pairs.of("forces")[0]) == 3
    audit = collect_pairs(train, predict(dataset), trained=())
    assert audit.held_out.all()
    some = collect_pairs(dataset, predict(dataset), trained=dataset.ids[5:])
    assert some.held_out.tolist() == [True] * 5 + [False] * 2


def test_only_labelled_and_evaluated_frames_make_pairs(make_dataset, predict):
    dataset = make_dataset(5)
    p = predict(dataset.take([1, 2, 3]))
    partly = dataset.with_columns(has_energy=[True, True, False, True, True])
    assert collect_pairs(partly, p).frame_ids == (dataset.ids[1], dataset.ids[3])


def test_frames_without_stress_have_no_stress_pair(make_dataset, predict):
    dataset = make_dataset(3).merge(make_dataset(2, seed=8, pbc=False))
    pairs = collect_pairs(dataset, predict(dataset))
    assert len(pairs) == 5
    assert len(pairs.of("stress")[0]) == 3


def test_concatenated_pairs_keep_the_last_judgement(make_dataset, predict):
    dataset = make_dataset(4)
    old, new = predict(dataset.take([0, 1, 2]), seed=1), predict(dataset.take([2, 3]), seed=2)
    audit, validation = collect_pairs(dataset, old), collect_pairs(dataset, new)
    together = Pairs.concatenate([audit, validation])
    assert set(together.frame_ids) == set(dataset.ids)
    row = together.frame_ids.index(dataset.ids[2])
    assert together.delta["forces"][row] == validation.delta["forces"][0]
    assert len(Pairs.concatenate([])) == 0


def test_pairs_round_trip(make_dataset, predict):
    dataset = make_dataset(2).merge(make_dataset(2, seed=8, pbc=False))
    pairs = collect_pairs(dataset, predict(dataset))
    back = Pairs.from_dict(json.loads(json.dumps(pairs.to_dict(), allow_nan=False)))
    assert back.frame_ids == pairs.frame_ids
    for name in ("energy", "forces", "stress"):
        np.testing.assert_array_equal(back.delta[name], pairs.delta[name])
        np.testing.assert_array_equal(back.error[name], pairs.error[name])
    with pytest.raises(DataError):
        Pairs.from_dict({"frame_ids": []})
    with pytest.raises(DataError, match="lengths"):
        Pairs.from_dict(pairs.to_dict() | {"held_out": [True]})
