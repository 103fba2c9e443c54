"""``trainspot evaluate``, ``calibrate`` and ``select`` on files, with toy models."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from ase.build import bulk
from click.testing import CliRunner

import trainspot
from trainspot import io
from trainspot.cli import main
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels
from trainspot.predictions.predictions import Predictions


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
    assert "32 frames evaluated with 1 model:" in result.stdout
    assert "disagreement" not in result.stdout
    assert Predictions.read(folder / "one.h5").members == ("m0",)


def test_errors_are_told_set_by_set_and_disagreement_without_labels(run, folder):
    models = ("--models", "m0.toy", "m1.toy", "m2.toy")
    words = run("evaluate", "frames.h5", *models, "-o", "sets.h5").stdout
    assert "forces, train: RMSE of the members " in words
    assert "forces, validation: RMSE of the members " in words
    answer = json.loads(run("evaluate", "frames.h5", *models, "-o", "sets.h5", "--json").stdout)
    by_set = answer["rmse_by_set"]
    assert by_set["train"]["forces"] != by_set["validation"]["forces"]
    bare = [frame.with_(labels=Labels()) for frame in io.read(folder / "frames.h5")]
    io.write(Dataset.from_frames(bare), folder / "b.h5")
    words = run("evaluate", "b.h5", *models, "-o", "bare.h5").stdout
    assert "RMSE" not in words
    largest = Predictions.read(folder / "bare.h5").disagreement()["forces"].max()
    assert f"{largest:.3g} (largest) eV/Å" in words


def test_the_folder_of_a_training_stands_for_its_committee(run, folder):
    trained = folder / "trained"
    trained.mkdir(exist_ok=True)
    for j in (0, 1, 2):
        (trained / f"m{j}.toy").write_bytes((folder / f"m{j}.toy").read_bytes())
    (trained / "metrics.json").write_text("{}")
    run("evaluate", "frames.h5", "--models", "trained", "-o", "whole.h5")
    assert Predictions.read(folder / "whole.h5").members == ("m0", "m1", "m2")
    (folder / "hollow").mkdir(exist_ok=True)
    failed = run("evaluate", "frames.h5", "--models", "hollow", "-o", "no.h5", status=2)
    assert "hollow: no model in this folder" in failed.stderr


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


def test_calibrate_makes_the_folder_of_a_potential_without_a_campaign(run, predicted, folder):
    args = ["calibrate", predicted, "--reference", "frames.h5", "--tolerance", "forces=0.1"]
    models = [f"m{k}.toy" for k in range(3)]
    said = run(*args, "-o", "t.json", "--models", *models, "--export", "pot").stdout
    assert 'trainspot.calculator("pot")' in said
    made = json.loads((folder / "pot/calibration.json").read_text())
    assert made["properties"] == json.loads((folder / "t.json").read_text())
    assert made["models"] == models
    for name in models:
        assert (folder / "pot/models" / name).read_bytes() == (folder / name).read_bytes()
    assert io.read(folder / "pot/dataset.h5").ids == io.read(folder / "frames.h5").ids
    card = (folder / "pot/README.md").read_text()
    assert "The committee was made stage by stage." in card
    assert (folder / "pot/novelty.h5").is_file()
    assert "`novelty.h5` has the training frames" in card
    assert "of iteration 1" not in card
    predictions, frames = Predictions.read(predicted), io.read(folder / "frames.h5")
    errors = predictions.select(frames.subset("validation").ids).member_rmse(
        frames.subset("validation")
    )
    assert f"{1000 * errors['forces'].mean():.0f} ± " in card
    atoms = frames[20].to_atoms()
    with pytest.warns(UserWarning, match="energy, stress are not calibrated"):
        atoms.calc = trainspot.calculator(folder / "pot")
    scale = made["properties"]["forces"]["sigma"]
    delta = predictions.select([frames[20].id]).disagreement()["forces"][0]
    atoms.get_forces()
    assert atoms.calc.results["frame_forces_uncertainty"] == pytest.approx(scale * delta, rel=1e-4)
    run(*args, "--models", *models, "--export", "pot")  # an earlier one is replaced


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--models", "m0.toy", "m1.toy", "--export", "pot"), "give those that were evaluated: m0"),
        (("--models", "m0.toy", "m1.toy", "m2.toy"), "--models and --export go together"),
        (("--export", "pot"), "--models and --export go together"),
        (("--models", "m0.toy", "m1.toy", "m2.toy", "--export", "full"), "not an earlier export"),
        (("--models", "no/m0.x", "no/m1.x", "no/m2.x", "--export", "pot"), "not a model file"),
    ],
)
def test_a_folder_that_cannot_be_made_leaves_nothing(more, told, run, predicted, folder):
    (folder / "full").mkdir(exist_ok=True)
    (folder / "full/thesis.txt").touch()
    shutil.rmtree(folder / "pot", ignore_errors=True)
    args = ("calibrate", predicted, "--reference", "frames.h5", "--tolerance", "forces=0.1")
    assert told in run(*args, "-o", "new.json", *more, status=2).stderr
    assert not (folder / "new.json").exists()
    assert not (folder / "pot").exists()


def test_thresholds_of_before_stay_where_the_disk_is_full(run, predicted, folder, monkeypatch):
    (folder / "before.json").write_text("old")

    def full(path, text, **_):
        path.write_bytes(text[:9].encode())
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_text", full)
    args = ("calibrate", predicted, "--reference", "frames.h5", "--tolerance", "forces=0.1")
    assert "before.json" in run(*args, "-o", "before.json", status=1).stderr
    assert (folder / "before.json").read_text() == "old"


def test_members_of_one_name_are_kept_apart_in_the_folder(run, folder):
    models = [f"twin{k}/m.toy" for k in range(2)]
    for k, name in enumerate(models):
        (folder / name).parent.mkdir()
        shutil.copy(folder / f"m{k}.toy", folder / name)
    run("evaluate", "frames.h5", "--models", *models, "-o", "twins.h5")
    args = ("calibrate", "twins.h5", "--reference", "frames.h5", "--tolerance", "forces=0.1")
    run(*args, "--models", *models, "--export", "twins")
    for k in range(2):
        made = folder / f"twins/models/member_{k}.toy"
        assert made.read_bytes() == (folder / f"m{k}.toy").read_bytes()


def test_frames_without_a_set_are_not_quietly_taken_for_unseen(run, predicted, folder):
    frames = io.read(folder / "frames.h5")
    io.write(
        Dataset.from_frames([frame.with_(split=None) for frame in frames]), folder / "bare.extxyz"
    )
    args = ("calibrate", predicted, "--tolerance", "forces=0.1", "--json", "--reference")
    result = run(*args, "bare.extxyz")
    assert json.loads(result.stdout)["forces"]["pairs"] == 48
    assert "warning: 48 frames of bare.extxyz without a split" in result.stderr
    assert run(*args, "frames.h5").stderr == ""


def test_a_threshold_that_could_not_be_fitted_is_called_so(run, predicted, folder):
    io.write(io.read(folder / "frames.h5").subset("validation")[:5], folder / "few.h5")
    args = ("calibrate", predicted, "--reference", "few.h5", "--tolerance", "forces=0.1")
    assert run(*args).stdout.startswith("forces: undetermined, threshold 0.0436")


def test_a_reference_of_other_frames_is_called_so(run, predicted, folder):
    io.write(Dataset.from_frames([Frame.from_atoms(bulk("Cu"))]), folder / "other.h5")
    result = run("calibrate", predicted, "--reference", "other.h5", status=2)
    assert "other.h5: has no label for any frame of" in result.stderr


def test_the_rate_of_misses_of_conformal_is_asked_for_or_the_campaigns(run, predicted, folder):
    (folder / "campaign.yaml").write_text("calibrate: {method: conformal, miss_rate: 0.4}\n")
    args = ("calibrate", predicted, "--reference", "frames.h5", "--tolerance", "forces=0.1")

    def threshold(*more):
        return json.loads(run(*args, "--json", *more).stdout)["forces"]["threshold"]

    lax, strict = threshold("--config", "campaign.yaml"), threshold("--method", "conformal")
    assert lax > strict
    assert threshold("--method", "conformal", "--miss-rate", 0.4) == lax


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
    assert "8 flagged (forces: 8); 8 selected, 0 for the audit" in words
    assert set(io.read(folder / "u.h5").ids) == set(io.read(folder / "frames.h5").ids[40:])


def test_novelty_is_asked_for_switched_off_or_explained(run, predicted, folder):
    io.write(io.read(folder / "frames.h5")[:40], folder / "known.h5")
    args = ("select", predicted, "--thresholds", "forces=9", "--known", "known.h5", "-o", "n.h5")
    found = json.loads(run(*args, "--novelty", "0.5", "--json").stdout)
    assert found["novelty"]["thresholds"]["3D"] > 0
    assert found["flagged_by"]["novelty"] == len(found["flagged"]) > 0
    assert found["novelty"]["atoms"]["3D"] > 0
    alone = run(*args, "--novelty", "0.5", "--novelty-of", "frames", "--json")
    assert "atoms" not in json.loads(alone.stdout)["novelty"]
    assert json.loads(run(*args, "--novelty", "none", "--json").stdout)["flagged"] == []
    assert "24 validation frames, 99 are needed for 0.99" in run(*args, "--novelty", "0.99").stderr
    nothing = run("select", predicted, "--thresholds", "forces=9", "-o", "n.h5")
    assert nothing.stderr.endswith("; give them with --known\n")
    assert "nothing to label: no new frame exceeds a threshold" in nothing.stdout


def test_frames_that_were_refused_are_not_called_known(run, predicted, folder):
    shutil.copy(folder / predicted, folder / "exploded.h5")
    with h5py.File(folder / "exploded.h5", "r+") as file:
        file["forces"][...] = np.nan
    said = run("select", "exploded.h5", "--thresholds", "forces=9", "-o", "n.h5").stdout
    assert "nothing to label: every frame was refused" in said


def test_an_audit_that_is_asked_for_is_drawn_where_nothing_is_flagged(run, predicted, folder):
    args = ("select", predicted, "--thresholds", "forces=9", "-o", "audit.h5")
    assert "0 flagged; 0 selected, 3 for the audit" in run(*args, "--audit", 3).stdout
    assert len(io.read(folder / "audit.h5")) == 3
    assert "0 for the audit" in run(*args, "--audit", 0).stdout


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


def test_the_share_of_a_campaign_holds_unless_a_number_is_asked_for(run, predicted, folder):
    (folder / "campaign.yaml").write_text("select: {share: 0.5}\n")
    args = ("select", predicted, "--thresholds", "forces=1e-6", "--audit", 0, "-o", "v.h5")
    config = ("--config", "campaign.yaml")

    def selected(*more):
        return len(json.loads(run(*args, "--json", *more).stdout)["selected"])

    assert selected(*config) == 24
    assert selected(*config, "--max-frames", 1000) == selected() > 24


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
        (
            ("calibrate", "p.h5", "--reference", "frames.h5", "--quantile", "1.5"),
            "quantile must be less than 1",
        ),
        (("calibrate", "frames.h5", "--reference", "frames.h5"), "not a trainspot predictions"),
        (("select", "p.h5", "--thresholds", "forces", "-o", "x.h5"), "write for example"),
        (("select", "p.h5", "--thresholds", "gone.json", "-o", "x.h5"), "gone.json"),
        (("select", "p.h5", "--thresholds", "forces=1", "-o", "x.cif"), "suffix"),
        (
            ("select", "p.h5", "--thresholds", "forces=1", "--audit", "x", "-o", "x.h5"),
            "audit must be 'auto' or must be a whole number",
        ),
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
    assert "only training frames were evaluated" in result.stderr


def test_thresholds_of_another_committee_are_refused(run, predicted, folder):
    first, second = ("m0.toy", "m1.toy", "m2.toy"), ("m0.toy", "m1.toy")
    run("evaluate", "frames.h5", "--models", *second, "-o", "two.h5")
    asked = ("calibrate", predicted, "--reference", "frames.h5", "--tolerance", "forces=0.1")
    run(*asked, "-o", "c.json", "--models", *first, "--export", "mine")
    for thresholds in ("c.json", "mine", "mine/calibration.json"):
        run("select", predicted, "--thresholds", thresholds, "-o", "s.h5")
        told = run("select", "two.h5", "--thresholds", thresholds, "-o", "none.h5", status=2).stderr
        assert told == (
            f"Error: {thresholds}: the thresholds of forces were fitted to another committee than "
            "that of the predictions; evaluate the frames with that committee, calibrate the "
            "committee of the predictions, or give thresholds as numbers\n"
        )
        assert not (folder / "none.h5").exists()
    run("select", "two.h5", "--thresholds", "forces=0.05", "-o", "t2.h5")


def test_a_committee_is_the_same_in_any_order(run, predicted, folder):
    run("evaluate", "frames.h5", "--models", "m2.toy", "m0.toy", "m1.toy", "-o", "turned.h5")
    turned, known = Predictions.read(folder / "turned.h5"), Predictions.read(predicted)
    assert turned.committee == known.committee != ""
    assert known.member(0).committee not in {"", known.committee}
    assert known.take([0, 1]).committee == known.committee


def test_files_from_before_committees_had_a_name_are_read(run, predicted, folder):
    asked = ("calibrate", predicted, "--reference", "frames.h5", "--tolerance", "forces=0.1")
    run(*asked, "-o", "new.json")
    content = json.loads((folder / "new.json").read_text())
    assert content["forces"].pop("committee")
    (folder / "old.json").write_text(json.dumps(content))
    run("select", predicted, "--thresholds", "old.json", "-o", "s.h5")
    shutil.copy(predicted, folder / "old.h5")
    with h5py.File(folder / "old.h5", "r+") as file:
        del file.attrs["digests"]
    assert Predictions.read(folder / "old.h5").committee == ""
    run("select", "old.h5", "--thresholds", "new.json", "-o", "s.h5")


def test_models_that_changed_since_are_not_exported(run, predicted, folder):
    shutil.copy(folder / "m0.toy", folder / "kept.toy")
    shutil.copy(folder / "m1.toy", folder / "m0.toy")
    try:
        asked = ("calibrate", predicted, "--reference", "frames.h5", "--models")
        told = run(*asked, "m0.toy", "m1.toy", "m2.toy", "--export", "other", status=2).stderr
    finally:
        shutil.move(folder / "kept.toy", folder / "m0.toy")
    assert "these models have changed since they made the predictions; evaluate them again" in told
