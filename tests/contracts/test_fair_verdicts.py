"""The checks accuse nobody who keeps the contract, and hide no fault behind its wording."""

from __future__ import annotations

import json
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from trainspot.common.errors import DataError, InputError, OutputMissingError
from trainspot.explore.ase import AseExplorer
from trainspot.explore.base import Explored
from trainspot.models.toy import ToyPotential
from trainspot.testing import check_explorer, check_model_file, check_trainer
from trainspot.testing.claims import Claims
from trainspot.testing.samples import tiny_model
from trainspot.train.base import TrainingResult
from trainspot.train.toy import METRICS, ToyTrainer

TRAIN = """\
from pathlib import Path
from trainspot.train.toy import ToyTrainer
ToyTrainer.run(Path())
Path("results").mkdir()
Path("model.toy").rename("results/model.toy")
Path("state.json").write_text("{}")
"""


# ── models ────────────────────────────────────────────────────────────────────
class Quoting(ToyPotential):
    """Raises another error than the contract's, whose text resembles that of a claim."""

    @classmethod
    def load(cls, path, *, dtype="float64", device="cpu"):
        try:
            return super().load(path)
        except InputError as error:
            if zipfile.is_zipfile(path):
                raise ValueError("a weight that is not refused is zero") from error
            raise


def test_the_words_of_an_error_decide_nothing(tmp_path):
    path, files = tmp_path / "model.toy", tmp_path / "files"
    tiny_model().save(path)
    files.mkdir()
    with pytest.raises(AssertionError, match="raised ValueError instead of DataError: a weight"):
        check_model_file(Quoting, path, files)


def test_a_block_that_may_accept_must_still_raise_the_right_error():
    claims = Claims("model kind", "toy", ToyPotential)
    with claims.refuses(DataError, "loading", may_accept=True):
        pass
    with (
        pytest.raises(AssertionError, match="loading raised KeyError instead of DataError"),
        claims.refuses(DataError, "loading", may_accept=True),
    ):
        raise KeyError("is not refused")
    with (
        pytest.raises(AssertionError, match="loading is not refused with DataError"),
        claims.refuses(DataError, "loading"),
    ):
        pass


# ── trainers ──────────────────────────────────────────────────────────────────
class Sorted(ToyTrainer):
    """Has its model in a folder of its own, and its checkpoint beside that folder."""

    executable = Path(sys.executable).name
    keeps_checkpoints = True

    @classmethod
    def arguments(cls, settings):
        return ["-c", TRAIN]

    @classmethod
    def run(cls, directory):
        super().run(directory)
        (directory / "results").mkdir()
        (directory / cls.model_filename).rename(directory / "results" / cls.model_filename)
        (directory / "state.json").write_text("{}")

    @classmethod
    def outputs(cls, settings):
        return [f"results/{cls.model_filename}", METRICS, "state.json"]

    @classmethod
    def write_inputs(cls, directory, dataset, settings, seed, *, start=None, checkpoint=None):
        super().write_inputs(directory, dataset, settings, seed, start=start)
        if checkpoint is not None:
            (directory / "continue.json").write_bytes(checkpoint.read_bytes())

    @classmethod
    def read_outputs(cls, directory):
        if not (directory / METRICS).is_file():
            raise OutputMissingError("was not written", where=METRICS)
        model = directory / "results" / cls.model_filename
        if model.is_file():
            (directory / cls.model_filename).write_bytes(model.read_bytes())
        result = super().read_outputs(directory)
        return TrainingResult(model, cls.read_checkpoint(directory), result.metrics)

    @classmethod
    def read_checkpoint(cls, directory):
        path = directory / "state.json"
        try:
            json.loads(path.read_text())
        except (OSError, ValueError):
            return None
        return path


def test_a_model_may_lie_in_a_folder_below_the_training(tmp_path):
    result = check_trainer(Sorted, tmp_path)
    assert result.model.parent.name == "results"


class Linking(ToyTrainer):
    """Links to the model to start from, which lies on another machine than the training."""

    @classmethod
    def write_inputs(cls, directory, dataset, settings, seed, *, start=None, checkpoint=None):
        super().write_inputs(directory, dataset, settings, seed, start=start)
        if start is not None:
            (directory / "start.toy").unlink()
            (directory / "start.toy").symlink_to(start)


def test_a_link_among_the_inputs_is_named(tmp_path):
    with pytest.raises(
        AssertionError, match=r"Linking\): write_inputs\(\) links to .*toy \(start\.toy\): copy fil"
    ):
        check_trainer(Linking, tmp_path)


# ── explorers ─────────────────────────────────────────────────────────────────
class Brief(AseExplorer):
    """Changes the frames of a run that keeps its last step only."""

    copies = 0

    @classmethod
    def run(cls, starts, runs, model, settings=None, **more):
        result = AseExplorer.run(starts, runs, model, settings)
        if runs[0].every < runs[0].steps:
            return result
        frames = list(result.explored)
        twins = [
            frame.with_(origin=replace(frame.origin, seed=k))
            for k in range(cls.copies)
            for frame in frames
        ]
        return Explored(type(starts).from_frames(twins), result.failures)


class Twofold(Brief):
    copies = 2


@pytest.mark.parametrize(("wrong", "count"), [(Brief, "0 frames"), (Twofold, "2 frames")])
def test_a_run_that_keeps_its_last_step_only_leaves_one_frame(wrong, count):
    with pytest.raises(
        AssertionError,
        match=rf"explorer 'ase' \(.*{wrong.__name__}\): a run of 8 steps .* leaves {count}, not 1",
    ):
        check_explorer(wrong)
