"""Rates of the flags that were raised, whatever raised them."""

from __future__ import annotations

import numpy as np

from trainspot.campaign import decisions
from trainspot.campaign.rules import Rules
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Labels
from trainspot.judge.pairs import Pairs, collect_pairs
from trainspot.judge.scoring import flag_rates
from trainspot.judge.settings import CalibrateSettings, JudgeSettings, SelectSettings, Tolerance

TOLERANCE = Tolerance(energy=0.01, forces=0.1, stress=None)


def test_a_frame_is_wrong_in_any_property_and_flagged_for_any_reason():
    off = np.full(6, 0.0)
    error = {
        "energy": np.array([0.02, 0.0, 0.0, 0.02, 0.0, np.nan]),
        "forces": np.array([0.0, 0.2, 0.0, 0.0, 0.0, 0.2]),
        "stress": np.full(6, 9.0),  # is not judged
    }
    delta = dict.fromkeys(error, off)  # the committee agrees: only novelty can have raised a flag
    pairs = Pairs(tuple("abcdef"), delta, error, np.ones(6, dtype=bool))
    rates = flag_rates(pairs, {"a", "b", "c"}, TOLERANCE)
    # Wrong: a, b, d, f. Flagged: a, b, c.
    assert (rates.tpr, rates.ppv, rates.miss_rate, rates.pairs) == (2 / 4, 2 / 3, 2 / 6, 6)


def test_the_score_of_a_judgement_counts_its_flags(make_dataset, predict):
    labelled = Dataset.from_frames(
        frame.with_(split=split)
        for k, frame in enumerate(make_dataset(60, seed=1))
        for split in [("train", "validation", "test")[k % 3]]
    )
    truth = make_dataset(60, seed=2, parent="p")
    explored = Dataset.from_frames(frame.with_(labels=Labels()) for frame in truth)
    predictions = predict(labelled.merge(truth), noise=[0.04, 0.1, 0.3] * 40, bias=0.1)
    select = SelectSettings(novelty=None, method="random", near_duplicate=0.0, audit=14)
    tolerance = Tolerance(energy=None, forces=0.2, stress=None)
    rules = Rules(tolerance, CalibrateSettings(), JudgeSettings(select=select), 5)
    _, fits = decisions.thresholds(labelled, predictions, decisions.NO_PAIRS, rules)
    judged = decisions.decide(
        labelled, explored, labelled[:0], predictions, fits, labelled[:0], rules, 1
    ).judgement
    dataset = labelled.merge(truth.select(judged.chosen))
    score = decisions.score(dataset, predictions, fits, judged, decisions.NO_PAIRS, rules, 1)
    audit = collect_pairs(truth.select(judged.audit), predictions, trained=())
    wrong = audit.error["forces"] > 0.2
    raised = np.array([identity in judged.flagged for identity in audit.frame_ids])
    assert 0 < (wrong & raised).sum() < len(audit)
    assert score.flags.audit.tpr == (wrong & raised).sum() / wrong.sum()
    assert score.flags.audit.ppv == (wrong & raised).sum() / raised.sum()
    assert score.flags.pairs == len(judged.chosen)
    assert decisions.Score.from_dict(score.to_dict()).flags == score.flags
