"""``trainspot train``: a committee from files, and one member in a folder."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from trainspot import io
from trainspot.cli import main
from trainspot.data.dataset import Dataset
from trainspot.models import potential
from trainspot.train import run
from trainspot.train.bagging import bags
from trainspot.train.toy import ToySettings, ToyTrainer


@pytest.fixture
def frames(labelled_frames, tmp_path):
    io.write(Dataset.from_frames(labelled_frames), tmp_path / "frames.h5")
    return tmp_path / "frames.h5"


@pytest.fixture
def call(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def invoke(*args):
        return CliRunner().invoke(main, [str(arg) for arg in args])

    return invoke


def test_a_committee_is_trained_and_its_models_load(call, frames, tmp_path):
    (tmp_path / "s.yaml").write_text("n_random: 5\n")
    result = call(
        *("train", frames, "--engine", "toy", "--committee-size", 2, "--settings", "s.yaml"),
        *("--workers", 2, "--seed", 3, "-o", "out"),
    )
    assert result.exit_code == 0, result.output
    assert "2 members trained" in result.stdout
    assert "warning: no labelled isolated atom of Si" in result.stderr
    models = [potential.load(tmp_path / "out" / f"member_{j}.toy") for j in range(2)]
    frame = io.read(frames)[0]
    one, other = (model.predict(model.prepare([frame]))[0] for model in models)
    assert np.isfinite(one.energy)
    assert one.energy != other.energy
    assert len(models[0].basis.phases) == 5
    report = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert set(report) == {"member_0", "member_1"}
    assert "next: trainspot evaluate out/dataset.h5 --models out " in result.stdout
    given, kept = io.read(frames), io.read(tmp_path / "out" / "dataset.h5")
    assert kept.ids == given.ids
    assert not (kept.column("split") == 0).any(), "whoever calibrates must know the training set"
    trained = io.read(tmp_path / "out" / "member_0" / "dataset.h5").subset("train")
    assert set(trained.ids) == set(kept.subset("train").ids)


def test_a_dataset_with_sets_is_not_written_again(call, frames, tmp_path):
    assert call("split", frames, "-o", "split.h5").exit_code == 0
    result = call("train", "split.h5", "--engine", "toy", "--committee-size", 2, "-o", "out")
    assert "had no split" not in result.stdout
    assert "next: trainspot evaluate split.h5 --models out " in result.stdout
    assert not (tmp_path / "out" / "dataset.h5").exists()


def test_a_campaign_file_gives_the_defaults(call, frames, tmp_path):
    (tmp_path / "c.yaml").write_text(
        "structures: [x.cif]\nseed: 3\n"
        "train: {engine: toy, committee_size: 2, settings: {n_random: 5}, start: scratch}\n"
    )
    result = call("train", frames, "--config", "c.yaml", "-o", "out")
    assert result.exit_code == 0, result.output
    assert "2 members trained" in result.stdout


def test_members_leave_out_frames_as_in_a_campaign(call, frames, tmp_path):
    assert call("split", frames, "-o", "split.h5").exit_code == 0
    (tmp_path / "c.yaml").write_text(
        "structures: [x.cif]\nseed: 3\ntrain: {engine: toy, committee_size: 4, bagging: 0.25}\n"
    )
    result = call("train", "split.h5", "--config", "c.yaml", "-o", "out")
    assert result.exit_code == 0, result.output
    dataset = io.read(tmp_path / "split.h5")
    left_out = [bag.left_out(dataset) for bag in bags(0.25, 4, 3)]
    n_train = len(dataset.subset("train"))
    counts = ", ".join(str(len(ids)) for ids in left_out)
    assert f"of {n_train} training frames the members left out {counts}\n" in result.stdout
    for member, ids in enumerate(left_out):
        trained = io.read(tmp_path / "out" / f"member_{member}" / "dataset.h5").subset("train")
        fitted = trained.filter(lambda frame: len(frame) == 1)  # the energy of all members
        assert set(trained.ids) == set(dataset.subset("train").ids) - set(ids) | set(fitted.ids)
        assert len(fitted) == 1
    assert "left out" not in call("train", "split.h5", "--engine", "toy", "-o", "none").stdout


def test_one_member_in_its_folder_is_what_jobs_run(call, labelled_frames, tmp_path):
    dataset = Dataset.from_frames(frame.with_(split="train") for frame in labelled_frames)
    ToyTrainer.write_inputs(tmp_path, dataset, ToySettings(), 1)
    result = call("train-member", "toy")
    assert result.exit_code == 0, result.output
    assert ToyTrainer.read_outputs(tmp_path).metrics[0]["epoch"] == 0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--committee-size", 1), "ask for at least 2 members"),
        (("--engine", "tyo"), "did you mean 'toy'?"),
        (("--bagging", 0.8), "4 members cannot leave out a share of 0.8 each"),
        (("--settings", "s.yaml"), "did you mean 'cutoff'?"),
        (
            ("--start", "frames.h5", "--start", "frames.h5", "--committee-size", 3),
            "2 models to start 3",
        ),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(call, frames, tmp_path, args, message):
    (tmp_path / "s.yaml").write_text("cutof: 5\n")
    before = sorted(tmp_path.iterdir())
    result = call("train", frames, "--engine", "toy", *args, "-o", "out")
    assert result.exit_code == 2
    assert message in result.stderr
    said = [line for line in result.stderr.splitlines() if not line.startswith("warning: ")]
    assert len(said) == 1
    assert sorted(tmp_path.iterdir()) == before


def test_unlabelled_frames_are_nothing_to_train_on(call, labelled_frames, tmp_path):
    bare = Dataset.from_frames(labelled_frames).with_columns(has_forces=[False] * 12)
    io.write(bare, tmp_path / "bare.h5")
    result = call("train", "bare.h5", "--engine", "toy", "-o", "out")
    assert result.exit_code == 2
    assert "no frame is labelled" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_member_without_inputs_and_an_engine_with_a_program_of_its_own(call):
    result = call("train-member", "toy")
    assert result.exit_code == 2
    assert "toy.json" in result.stderr
    result = call("train-member", "mace")
    assert result.exit_code == 2
    assert "mace_run_train" in result.stderr


def test_a_failed_member_is_a_failed_run(call, frames, monkeypatch):
    monkeypatch.setattr(run, "find_executable", lambda *_: "/bin/false")
    result = call("train", frames, "--engine", "toy", "-o", "out")
    assert result.exit_code == 1
    assert "member_0: false ended with status 1" in result.stderr


def test_members_that_are_one_model_are_told(call, frames, tmp_path):
    """Settings of the toy that leave nothing to the seed."""
    settings = tmp_path / "settings.yaml"
    settings.write_text("train: {engine: toy, settings: {bootstrap: false, n_random: 0}}\n")
    options = ["--config", str(settings), "--committee-size", "2", "-o", str(tmp_path / "same")]
    result = call("train", frames, *options)
    assert result.exit_code == 0
    assert "the same model as member_0: these two members never disagree" in result.stderr
