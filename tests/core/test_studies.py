"""The helpers of the studies in the documentation, against known answers; their figures exist."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from trainspot.rehearse import arms, rehearsal
from trainspot.rehearse.cost import CostModel

STUDIES = Path(__file__).parents[2] / "docs" / "studies"


@pytest.fixture(scope="module")
def judging():
    spec = importlib.util.spec_from_file_location("studies_judging", STUDIES / "judging.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def study():
    """Imports a script by name; they import one another."""
    sys.path.insert(0, str(STUDIES))
    yield importlib.import_module
    sys.path.remove(str(STUDIES))


@pytest.fixture(scope="module")
def calibration(study):
    return study("calibration")


@pytest.fixture(scope="module")
def stated():
    """What the spot check with MACE printed."""
    return json.loads((STUDIES / "labels-mace.json").read_text(encoding="utf-8"))


@pytest.fixture
def columns():
    """Errors of exactly twice the disagreement; surfaces err ten times as much, and are far."""
    rng = np.random.default_rng(1)
    delta = rng.uniform(0.02, 0.2, 120)
    motif = np.array(["Elastic"] * 80 + ["Surface"] * 40)
    error = delta * np.where(motif == "Surface", 10.0, 2.0)
    return {
        "motif": motif.tolist(),
        "split": ["validation"] * 30 + ["test"] * 90,
        "delta": delta.tolist(), "error": error.tolist(),
        "delta_energy": delta.tolist(), "error_energy": (-error).tolist(),
        "distance": np.where(motif == "Surface", 1.0, 0.01).tolist(),
        "novel_beyond": 0.1, "member_rmse": {},
    }  # fmt: skip


def test_rates_of_known_counts(judging):
    flagged, wrong = np.array([1, 1, 0, 0, 1], bool), np.array([1, 0, 1, 0, 1], bool)
    found = judging.rates(*judging.counts(flagged, wrong))
    assert found["tpr"] == pytest.approx(2 / 3)
    assert found["ppv"] == pytest.approx(2 / 3)
    assert found["f1"] == pytest.approx(2 / 3)
    assert found["missed"] == pytest.approx(1 / 5)
    assert judging.rates(0, 0, 0, 5)["tpr"] is None


@pytest.mark.parametrize("method", ["quantile", "regression", "scale", "conformal"])
def test_validation_frames_calibrate_what_is_like_them_only(judging, columns, method):
    study = judging.Study(columns)
    found = judging.judged(study, "made-up", method, 0.2, 0, 1)
    assert found["threshold"] == pytest.approx(0.1, rel=1e-5)
    rows = study.pool & (study.motif == "Elastic")
    missed = (study.error > 0.2) & (study.delta <= found["threshold"])
    assert not missed[rows].any()
    alone, novelty = (found["tpr_of_motif"][way] for way in ("alone", "with novelty"))
    assert alone["Elastic"] == 1.0
    assert alone["Surface"] < 0.7
    assert novelty["Surface"] == 1.0
    assert found["with novelty"]["ppv"] > 0.9


def test_without_calibration_the_tolerance_is_the_threshold(judging, columns):
    found = judging.judged(judging.Study(columns), "made-up", "none", 0.19, 0, 1)
    assert found["threshold"] == 0.19


def test_audit_frames_lower_the_threshold_and_are_not_scored(judging, columns):
    study = judging.Study(columns)
    found = judging.judged(study, "made-up", "regression", 0.2, 12, 1)
    assert found["threshold"] < 0.1
    again = judging.judged(study, "made-up", "regression", 0.2, 12, 1)
    assert again == found


def test_what_is_committed_is_what_the_pairs_give(judging):
    studied = json.loads((STUDIES / "calibration-pairs.json").read_text(encoding="utf-8"))
    stated = json.loads((STUDIES / "calibration-results.json").read_text(encoding="utf-8"))
    assert list(studied) == list(stated)
    for name, pairs in studied.items():
        study = judging.Study(pairs)
        for method in judging.METHODS:
            made = judging.judged(study, name, method, 0.15, 0, 2026)
            shown = stated[name]["judged"][f"{method}, 0.15 eV/Å, audit 0"]
            assert made["threshold"] == pytest.approx(shown["threshold"])
            assert made["with novelty"] == pytest.approx(shown["with novelty"])


def test_the_figures_are_drawn(judging, columns, tmp_path, monkeypatch):
    monkeypatch.setattr(judging, "DRAWS", 2)
    studied = {"made-up": columns}
    judging.draw(studied, judging.results(studied, 1), tmp_path)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".png", ".png"]


def test_hold_outs_are_added_to_the_pairs_of_others(calibration, tmp_path):
    file = tmp_path / "pairs.json"
    assert calibration.joined(file, {"vacancies": 1}) == {"vacancies": 1}
    file.write_text(json.dumps({"surfaces": 2, "vacancies": 3}))
    both = calibration.joined(file, {"vacancies": 4, "bulk MD": 5})
    assert list(both.items()) == [("surfaces", 2), ("bulk MD", 5), ("vacancies", 4)]


def test_only_the_hold_outs_asked_for_are_trained(calibration, columns, tmp_path, monkeypatch):
    trained = []
    known, written = tmp_path / "pairs.json", tmp_path / "results.json"
    known.write_text(json.dumps({"surfaces": columns}))
    monkeypatch.setattr(calibration, "read_data", lambda _: None)
    monkeypatch.setattr(calibration, "predicted", lambda _, name, __: trained.append(name) or ())
    monkeypatch.setattr(calibration, "pairs", lambda: columns)
    monkeypatch.setattr(calibration.judging, "DRAWS", 2)
    files = ["--pairs", str(known), "--results", str(written), "--figures", str(tmp_path)]
    call = ["calibration.py", "--data", ".", "--hold-outs", "bulk MD", *files]
    monkeypatch.setattr(sys, "argv", call)
    calibration.main()
    assert trained == ["bulk MD"]
    assert list(json.loads(written.read_text())) == ["surfaces", "bulk MD"]


def test_the_spot_check_with_mace_says_what_its_campaigns_did(study, stated):
    found = study("labels_mace").outcome(stated)
    assert found.to_dict() == stated
    assert (found.trainer, found.arms) == ("mace", list(arms.ARMS))


def test_the_campaign_of_the_spot_check_is_the_one_that_was_run(stated):
    file, seeds = STUDIES / "labels-mace.yaml", len(stated["seeds"])
    made = rehearsal.prepare(file, {}, "tersoff", "mace", CostModel(), seeds)
    assert sorted(made.seeds) == stated["seeds"]
    assert made.campaigns[arms.OURS].stop.max_iterations == max(
        len(run["points"]) for arm in stated["arms"].values() for run in arm["runs"]
    )


def test_the_spot_check_is_drawn(study, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["labels_mace.py", "--figures", str(tmp_path)])
    study("labels_mace").main()
    assert [path.name for path in tmp_path.iterdir()] == ["labels-mace.png"]
    assert "random" in capsys.readouterr().out
