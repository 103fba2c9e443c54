"""``why``: one frame, everything that was known about it."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk

from trainspot.cli._why import as_json, in_words
from trainspot.common.errors import InputError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels, Origin
from trainspot.descriptors import DescriptorSettings
from trainspot.judge import judge
from trainspot.judge.novelty import Novelty
from trainspot.judge.settings import JudgeSettings, SelectSettings
from trainspot.judge.why import Past, why
from trainspot.label.base import failed
from trainspot.predictions.calibration import Calibration

NOBODY = Dataset.from_frames([])
SILICON = bulk("Si", cubic=True)


def rattled(seed, amplitude=0.1, **rest):
    rng = np.random.default_rng(seed)
    positions = SILICON.positions + rng.normal(0, amplitude, (8, 3))
    return Frame.make(SILICON.numbers, positions, SILICON.cell, True, **rest)


def label(seed):
    rng = np.random.default_rng(1000 + seed)
    return Labels(-40.0 + rng.normal(), rng.normal(size=(8, 3)), None, "made-up")


@pytest.fixture(scope="module")
def campaign(predict):
    """One iteration: 30 known frames, 12 explored; who is chosen gets a label, one fails."""
    known = Dataset.from_frames(
        rattled(
            k,
            labels=label(k),
            split="train" if k < 10 else "validation",
            origin=Origin("rattle", "a" * 64, {"fraction": 0.3}, seed=k),
        )
        for k in range(30)
    )
    start = known[0]
    conditions = {"temperature": 700.0, "pressure": 2.0, "ensemble": "npt", "step": 50, "time": 0.1}
    origin = Origin("md", start.id, conditions, trajectory="t1", iteration=1)
    explored = [rattled(100 + k, origin=origin) for k in range(12)]
    close = SILICON.positions.copy()
    close[1] = close[0] + [0.5, 0.0, 0.0]
    explored.append(Frame.make(SILICON.numbers, close, SILICON.cell, True, origin=origin))
    explored.append(known[3].with_(labels=Labels(), origin=origin))
    explored = Dataset.from_frames(explored)
    labelled = explored.with_labels_of(
        Dataset.from_frames(f.with_(labels=label(k)) for k, f in enumerate(explored))
    )
    noise = np.where(np.arange(14) < 6, 1.0, 0.01)
    predictions = predict(labelled, noise=noise, bias=0.3)
    forces = predictions.forces.copy()
    forces[:, 8 * 2 + 5] += np.linspace(-3, 3, 4)[:, None]  # atom 5 of frame 2 is the worst
    predictions = replace(predictions, forces=forces)
    made = replace(Calibration.given("forces", 0.2), slope=1.5, sigma=1.25, atom_sigma=1.75)
    given = {"forces": made}
    judgement = judge(
        explored,
        predictions,
        given,
        known,
        JudgeSettings(select=SelectSettings(audit=0, max_frames=4)),
        iteration=1,
        seed=3,
        starts=Dataset.from_frames([start]),
    )
    past = Past(
        1,
        explored,
        Dataset.from_frames([start]),
        known,
        predictions,
        given,
        judgement,
        DescriptorSettings(),
    )
    first, *others = judgement.selected
    records = Dataset.from_frames([failed(explored.by_id(first), "did not converge")])
    chosen = Dataset.from_frames(f.with_(split="train") for f in labelled.select(others))
    return past, known.merge(chosen), records


def ask(campaign, identity):
    past, dataset, records = campaign
    account = why(identity, [past], dataset, records)
    found = as_json(account)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return found, "\n".join(in_words(account))


def test_nothing_is_predicted_without_a_calibration(campaign):
    past, dataset, records = campaign
    unfitted = {name: replace(made, fitted=False) for name, made in past.calibrations.items()}
    past = replace(past, calibrations=unfitted)
    found, words = ask((past, dataset, records), past.judgement.selected[0])
    assert found["properties"]["forces"]["predicted_error"] is None
    assert "eV/Å; not calibrated" in words


def passed_over(past):
    return next(i for i in past.explored.ids[:12] if i not in past.judgement.chosen)


def test_a_labelled_frame(campaign):
    past = campaign[0]
    identity = next(i for i in past.judgement.selected[1:] if i != past.explored.ids[2])
    found, words = ask(campaign, identity[:10])
    assert found["frame"] == identity
    assert found["explored"]["iteration"] == 1
    assert (found["explored"]["temperature"], found["explored"]["time"]) == (700.0, 0.1)
    assert found["explored"]["start_strategy"] == "rattle"
    assert found["screen"] == "passed"
    forces = found["properties"]["forces"]
    mine = past.predictions.select([identity])
    assert forces["disagreement"] == pytest.approx(mine.disagreement()["forces"][0])
    assert forces["predicted_error"] == pytest.approx(1.25 * forces["disagreement"])
    frame = campaign[1].by_id(identity)
    error = np.sqrt(np.square(mine.forces.mean(axis=0) - frame.labels.forces).mean())
    assert forces["true_error"] == pytest.approx(error)
    worst = found["worst_atom"]
    off = (mine.forces.mean(axis=0) - frame.labels.forces)[worst["index"]]
    assert worst["true_error"] == pytest.approx(np.sqrt(np.mean(off**2)))
    assert found["decision"] == "selected"
    assert found["set"] == "train"
    for part in (
        "iteration 1, from rattle ", "700 K, 2 kbar, 0.1 ps", "screen: passed", "true error",
        "from the nearest training frame", "nearest labelled: ", "decision: selected: disagreement",
        "split: train", "label: -", "(made-up)",
    ):  # fmt: skip
        assert part in words


def test_the_nearest_labelled_frame_and_the_novelty(campaign):
    past = campaign[0]
    found, words = ask(campaign, passed_over(past))
    assert found["decision"] == "not selected"
    assert found["label"] is None
    assert found["properties"]["forces"]["true_error"] is None
    nearest = found["nearest"]
    assert nearest["strategy"] == "rattle"
    assert nearest["frame"] in past.known.ids
    assert found["novelty"]["distance"] >= nearest["distance"] > 0  # validation frames count too
    assert found["novelty"]["threshold"] == past.judgement.novelty.thresholds["3D"]
    assert "split: none yet" in words
    assert "label: none" in words


def test_the_threshold_of_novelty_is_that_of_the_frames_kind(campaign):
    past, dataset, records = campaign
    limits = {"0D": 1e3, "1D": 1e3, "2D": 1e-9, "3D": 0.25}
    judgement = replace(past.judgement, novelty=Novelty(0.95, limits, 20))
    found, words = ask((replace(past, judgement=judgement), dataset, records), passed_over(past))
    assert found["novelty"]["threshold"] == 0.25
    assert found["novelty"]["exceeds"] is (found["novelty"]["distance"] > 0.25)
    assert "from the nearest training frame, " in words
    assert " 0.25" in words


def test_the_worst_atom(campaign):
    found, words = ask(campaign, campaign[0].explored.ids[2])
    worst = found["worst_atom"]
    assert worst["index"] == 5
    assert "worst atom: 6 (Si), disagreement" in words
    assert worst["predicted_error"] == pytest.approx(1.75 * worst["disagreement"])
    assert worst["true_error"] is None, "it has no label"
    assert ", true error" not in words


def test_a_refused_frame(campaign):
    found, words = ask(campaign, campaign[0].explored.ids[12])
    assert found["decision"] == "refused"
    assert found["decided"]["cause"] == "overlap"
    assert found["decided"]["contact"] == {"atoms": [0, 1], "elements": ["Si", "Si"]}
    assert found["decided"]["value"] == pytest.approx(0.5)
    assert found["decided"]["limit"] == pytest.approx(0.4 * 2 * 1.11)
    assert "Å apart" in found["screen"]
    assert "screen: refused: atoms " in words


def test_a_frame_that_failed(campaign):
    found, words = ask(campaign, campaign[2].ids[0])
    assert found["failure"] == "did not converge"
    assert found["decision"] == "selected"
    assert "label: failed: did not converge" in words


@pytest.mark.parametrize("row", [3, 5])
def test_a_frame_that_was_never_explored(campaign, row):
    """Row 3 came by again later: it was known already, so nothing judged it."""
    frame = campaign[1][row]
    found, words = ask(campaign, frame.id)
    assert found["origin"]["strategy"] == "rattle"
    assert found["origin"]["parameters"] == {"fraction": 0.3}
    assert found["set"] == "train"
    assert found["label"]["theory"] == "made-up"
    assert found["explored"] is found["decision"] is found["properties"] is None
    assert "strategy: rattle of aaaaaaaaaaaa, iteration 0" in words
    assert "not explored and not judged" in words


def test_unknown_and_ambiguous_prefixes_are_one_line(campaign):
    past, dataset, records = campaign
    with pytest.raises(InputError, match=r"frames start with '': .* more; give more digits"):
        why("", [past], dataset, records)
    wrong = dataset.ids[0][:6] + "x"
    with pytest.raises(InputError, match=f"no frame '{wrong}'.*nearest: {dataset.ids[0][:12]}"):
        why(wrong, [past], dataset, records)
    with pytest.raises(InputError, match="see: trainspot export"):
        why("xyz", [past], dataset, records)


def test_predictions_that_are_not_finite_are_said(campaign):
    past, dataset, records = campaign
    energy = past.predictions.energy.copy()
    energy[0] = np.nan
    broken = replace(past, predictions=replace(past.predictions, energy=energy))
    found, words = ask((broken, dataset, records), passed_over(past))
    assert found["properties"]["forces"]["disagreement"] is None
    assert "forces: a prediction is not finite" in words
    assert found["worst_atom"] is None, "no atom is in dispute by 0 eV/Å"
    assert "worst atom" not in words


def test_without_the_library_the_rest_is_said(campaign, monkeypatch):
    monkeypatch.setitem(sys.modules, "featomic", None)
    found, words = ask(campaign, passed_over(campaign[0]))
    assert found["nearest"] is None
    assert "novelty: the descriptor of frames is not installed; run: pip install" in words


def test_without_labels_nothing_is_near(campaign):
    past, dataset, records = campaign
    bare = Dataset.from_frames(f.with_(labels=Labels()) for f in past.known)
    judgement = replace(past.judgement, novelty=Novelty(0.95, note="too few"))
    early = replace(past, known=bare, judgement=judgement)
    found, words = ask((early, dataset, records), passed_over(past))
    assert found["novelty"] == {
        "distance": None, "threshold": None, "exceeds": False, "note": "too few"
    }  # fmt: skip
    assert found["nearest"] is None
    assert "novelty: too few" in words
