"""``select`` and ``calibrate`` on files count the frames that a campaign counts."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from trainspot import io
from trainspot.campaign import decisions
from trainspot.campaign.rules import rules_of
from trainspot.cli import main
from trainspot.config.models import Campaign
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Labels

SEED = 5


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*args):
        result = CliRunner().invoke(main, [str(a) for a in args])
        assert result.exit_code == 0, result.output
        return result

    return call


@pytest.fixture
def rounds(make_dataset, predict):
    """A labelled dataset with splits, two explorations, and the predictions of two committees."""
    labelled = Dataset.from_frames(
        frame.with_(split=split)
        for k, frame in enumerate(make_dataset(60, seed=1))
        for split in [("train", "validation", "test")[k % 3]]
    )
    truth = [make_dataset(60, seed=seed, parent="p") for seed in (2, 3)]
    noise, bias = [0.04, 0.1, 0.3] * 40, [0.02, 0.1, 0.2] * 40
    spoken = [
        predict(labelled.merge(one), noise=noise, bias=bias, seed=9 + k)
        for k, one in enumerate(truth)
    ]
    return labelled, truth, spoken


@pytest.fixture
def campaign():
    return Campaign.model_validate(
        {
            "seed": SEED,
            "structures": ["x.cif"],
            "label": {"engine": "ase", "calculator": "emt"},
            "train": {"engine": "toy"},
            "explore": {"engine": "ase"},
            "tolerance": {"energy": None, "forces": 0.2, "stress": None},
            "select": {"novelty": None, "method": "random", "near_duplicate": 0.0, "audit": 14},
        }
    )


def bare(frames):
    return Dataset.from_frames(frame.with_(labels=Labels()) for frame in frames)


def test_two_rounds_give_the_thresholds_of_a_campaign(rounds, campaign, run, tmp_path):
    labelled, truth, spoken = rounds
    rules = rules_of(campaign)

    # The campaign.
    _, first = decisions.thresholds(labelled, spoken[0], decisions.NO_PAIRS, rules)
    decided = decisions.decide(
        labelled, bare(truth[0]), labelled[:0], spoken[0], first, labelled[:0], rules, 1
    )
    chosen = truth[0].select(decided.judgement.chosen)
    dataset = labelled.merge(decisions.trained_on(chosen, chosen.ids))
    score = decisions.score(
        dataset, spoken[0], first, decided.judgement, decisions.NO_PAIRS, rules, 1
    )
    _, second = decisions.thresholds(dataset, spoken[1], score.audit_pairs, rules)

    # The same by hand, on files.
    io.write(labelled, tmp_path / "labelled.h5")
    io.write(bare(labelled.merge(truth[0])), tmp_path / "evaluated.h5")
    (tmp_path / "c.yaml").write_text(
        json.dumps(campaign.model_dump(mode="json", exclude_unset=True))
    )
    for number, predictions in enumerate(spoken, start=1):
        predictions.write(tmp_path / f"p{number}.h5")
    shared = ("--config", "c.yaml", "--seed", SEED)
    run("calibrate", "p1.h5", "--reference", "labelled.h5", "-o", "t1.json", *shared)
    select = ("select", "p1.h5", "--frames", "evaluated.h5", "--known", "labelled.h5")
    run(*select, "--thresholds", "t1.json", "-o", "picked.h5", *shared)
    picked = io.read(tmp_path / "picked.h5")
    assert sorted(picked.ids) == sorted(decided.judgement.chosen)
    marks = {frame.id: frame.info.get("audit") for frame in picked}
    assert {i for i, mark in marks.items() if mark} == set(decided.judgement.audit)
    assert len(decided.judgement.audit) == 14
    labels = {frame.id: frame.labels for frame in truth[0]}
    io.write(
        Dataset.from_frames(
            frame.with_(labels=labels[frame.id], split="train") for frame in picked
        ),
        tmp_path / "picked-labelled.extxyz",
    )
    picked_labelled = io.read(tmp_path / "picked-labelled.extxyz")
    io.write(labelled.merge(picked_labelled), tmp_path / "all.h5")
    by_hand = json.loads(
        run(
            *("calibrate", "p2.h5", "--reference", "all.h5", "--audit", "p1.h5", "--json"), *shared
        ).stdout
    )["forces"]

    campaigns = second["forces"]
    assert campaigns.bars_from == "audit"
    assert by_hand.keys() == campaigns.to_dict().keys()
    for name, value in campaigns.to_dict().items():
        expected = pytest.approx(value) if isinstance(value, float | list) else value
        assert by_hand[name] == expected, name
    without = run("calibrate", "p2.h5", "--reference", "all.h5", "--json", *shared)
    assert json.loads(without.stdout)["forces"]["threshold"] != campaigns.threshold


def test_a_round_without_audit_frames_is_refused(rounds, tmp_path, monkeypatch):
    labelled, _, spoken = rounds
    monkeypatch.chdir(tmp_path)
    io.write(labelled, "labelled.h5")
    spoken[0].write(tmp_path / "p1.h5")
    args = ["calibrate", "p1.h5", "--reference", "labelled.h5", "--audit", "p1.h5"]
    result = CliRunner().invoke(main, args)
    assert result.exit_code == 2
    assert "p1.h5: no labelled frame of labelled.h5 is marked as audit frame" in result.output


def test_test_frames_stay_for_the_test(rounds, tmp_path, run):
    labelled, _, spoken = rounds
    io.write(labelled, tmp_path / "labelled.h5")
    spoken[0].write(tmp_path / "p1.h5")
    args = ("calibrate", "p1.h5", "--tolerance", "forces=0.2", "--json", "--reference")
    result = run(*args, "labelled.h5")
    assert json.loads(result.stdout)["forces"]["pairs"] == 20
    io.write(labelled.subset("test").merge(labelled.subset("train")), tmp_path / "tested.h5")
    result = run(*args, "tested.h5")
    assert json.loads(result.stdout)["forces"]["pairs"] == 20
    assert "warning: tested.h5 has no validation frames, so 20 test frames counted" in result.output
