"""``trainspot evaluate``, ``calibrate`` and ``select`` on files, with toy models."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from trainspot import io
from trainspot.cli import main
from trainspot.evaluate.predictions import Predictions


@pytest.fixture
def run(folder, monkeypatch):
    monkeypatch.chdir(folder)

    def call(*args, status=0):
        result = CliRunner().invoke(main, [str(a) for a in args])
        assert result.exit_code == status, result.output
        return result

    return call


@pytest.fixture
def predicted(run, folder):
    if not (folder / "p.h5").exists():
        run("evaluate", "frames.h5", "--models", "m0.toy", "m1.toy", "m2.toy", "-o", "p.h5")
    return folder / "p.h5"


def test_evaluate(run, folder):
    result = run(
        *("evaluate", "frames.h5", "--models", "m0.toy", "m1.toy", "m2.toy", "-o", "q.h5", "--json")
    )
    found = Predictions.read(folder / "q.h5")
    assert found.members == ("m0", "m1", "m2")
    assert found.source == "frames.h5"
    answer = json.loads(result.stdout)
    assert (answer["frames"], answer["members"]) == (48, ["m0", "m1", "m2"])
    frames = io.read(folder / "frames.h5")
    np.testing.assert_allclose(answer["rmse"]["forces"], found.member_rmse(frames)["forces"])
    repeated = ("--models", "m0.toy", "--models", "m1.toy", "--models", "m2.toy")
    run("evaluate", "frames.h5", *repeated, "-o", "r.h5", "--max-atoms", "9")
    np.testing.assert_allclose(Predictions.read(folder / "r.h5").energy, found.energy)


def test_evaluate_one_model(run, folder):
    result = run("evaluate", "validation.extxyz", "--models", "m0.toy", "-o", "one.h5")
    assert "32 frames by 1 models" in result.stdout
    assert Predictions.read(folder / "one.h5").members == ("m0",)


def test_calibrate(run, predicted):
    args = ("calibrate", predicted, "--reference", "frames.h5", "--tolerance", "forces=0.1")
    found = json.loads(run(*args, "--method", "quantile", "--json").stdout)
    assert found.keys() == {"forces"}
    wanted = {"slope", "interval", "pairs", "threshold", "tpr", "ppv", "verdict"}
    assert wanted <= found["forces"].keys()
    assert found["forces"]["pairs"] == found["forces"]["held_out"] == 32
    words = run(*args, "energy=0.01", "--method", "regression").stdout
    assert words.startswith("energy: ")
    assert "\nforces: " in words


def test_calibrate_then_select(run, predicted, folder):
    run("calibrate", predicted, "--reference", "frames.h5", "-o", "c.json")
    args = ("select", predicted, "--thresholds", "c.json", "--max-frames", 7, "--audit", 2)
    answer = json.loads(run(*args, "--seed", 3, "-o", "s.extxyz", "--json").stdout)
    chosen = io.read(folder / "s.extxyz")
    assert chosen.ids == [*answer["selected"], *answer["audit"]]
    assert (len(chosen), len(answer["audit"])) == (7, 2)
    again = run(*args, "--seed", 3, "-o", "t.h5", "--json")
    assert json.loads(again.stdout) == answer


def test_select_with_numbers_and_known_frames(run, predicted, folder):
    io.write(io.read(folder / "frames.h5")[:40], folder / "known.h5")
    words = run(
        *("select", predicted, "--thresholds", "forces=1e-6", "energy=5", "--known", "known.h5"),
        *("--audit", "0", "-o", "u.h5"),
    ).stdout
    assert "8 flagged (by forces 8), 8 selected, 0 for the audit" in words
    assert set(io.read(folder / "u.h5").ids) == set(io.read(folder / "frames.h5").ids[40:])


def test_novelty_is_asked_for_switched_off_or_explained(run, predicted, folder):
    io.write(io.read(folder / "frames.h5")[:40], folder / "known.h5")
    args = ("select", predicted, "--thresholds", "forces=9", "--known", "known.h5", "-o", "n.h5")
    found = json.loads(run(*args, "--novelty", "0.5", "--json").stdout)
    assert found["novelty"]["threshold"] > 0
    assert found["flagged_by"]["novelty"] == len(found["flagged"]) > 0
    assert json.loads(run(*args, "--novelty", "none", "--json").stdout)["flagged"] == []
    assert "24 validation frames, 99 are needed for 0.99" in run(*args, "--novelty", "0.99").stderr


def test_a_campaign_file_gives_the_defaults(run, predicted, folder):
    (folder / "campaign.yaml").write_text(
        "seed: 3\nlabel: {engine: ase, calculator: emt}\ntrain: {engine: toy}\n"
        "explore: {engine: ase}\ntolerance: {forces: 0.2, energy: null, stress: null}\n"
        "calibrate: {method: regression}\nselect: {max_frames: 4, audit: 1}\n"
    )
    config = ("--config", "campaign.yaml")
    args = ("calibrate", predicted, "--reference", "frames.h5", *config, "--json")
    found = json.loads(run(*args).stdout)["forces"]
    assert (found["tolerance"], found["method"]) == (0.2, "regression")
    assert json.loads(run(*args, "--method", "quantile").stdout)["forces"]["method"] == "quantile"
    args = ("select", predicted, "--thresholds", "forces=1e-6", "-o", "v.h5", "--json")
    answer = json.loads(run(*args, *config).stdout)
    assert (len(answer["selected"]), len(answer["audit"])) == (3, 1)
    asked = ("--seed", 3, "--max-frames", 4, "--audit", 1)
    assert json.loads(run(*args, *asked).stdout)["selected"] == answer["selected"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("evaluate", "frames.h5", "--models", "m0.toy", "-o", "x.npz"), "use .h5"),
        (("evaluate", "gone.h5", "--models", "m0.toy", "-o", "x.h5"), "gone.h5: no such file"),
        (("evaluate", "frames.h5", "--models", "gone.toy", "-o", "x.h5"), "gone.toy"),
        (("evaluate", "frames.h5", "--models", "m0.toy", "m0.toy", "-o", "x.h5"), "twice"),
        (("evaluate", "frames.h5", "--models", "m0.toy", "--kind", "toi", "-o", "x.h5"), "'toy'"),
        (("evaluate", "frames.h5", "--models", "m0.toy", "-o", "no/x.h5"), "no such folder"),
        (("calibrate", "p.h5", "--reference", "frames.h5", "--tolerance", "forces=-1"), "positive"),
        (("calibrate", "p.h5", "--reference", "frames.h5", "--tolerance", "force=1"), "'forces'"),
        (("calibrate", "p.h5", "--reference", "frames.h5", "--method", "quantil"), "'quantile'"),
        (("calibrate", "p.h5", "--reference", "frames.h5", "--quantile", "1.5"), "quantile"),
        (("calibrate", "frames.h5", "--reference", "frames.h5"), "not a trainspot predictions"),
        (("select", "p.h5", "--thresholds", "forces", "-o", "x.h5"), "write for example"),
        (("select", "p.h5", "--thresholds", "gone.json", "-o", "x.h5"), "gone.json"),
        (("select", "p.h5", "--thresholds", "forces=1", "-o", "x.cif"), "suffix"),
        (("select", "p.h5", "--thresholds", "forces=1", "--audit", "x", "-o", "x.h5"), "audit"),
        (
            ("select", "p.h5", "--thresholds", "forces=1", "--method", "rndom", "-o", "x.h5"),
            "'random'",
        ),
        (("select", "p.h5", "--thresholds", "forces=1", "forces=2", "-o", "x.h5"), "twice"),
        (("select", "p.h5", "--thresholds", "forces=1", "--novelty", "7", "-o", "x.h5"), "novelty"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(run, predicted, folder, args, message):
    before = sorted(folder.iterdir())
    result = run(*args, status=2)
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert sorted(folder.iterdir()) == before


def test_reference_without_held_out_frames(run, predicted, folder):
    io.write(io.read(folder / "frames.h5").subset("train"), folder / "train.h5")
    result = run("calibrate", predicted, "--reference", "train.h5", status=2)
    assert "outside the training set" in result.stderr
