"""Every registered trainer and kind of model keeps its contract, and mistakes are told by name.

The trainers with programs of their own are under test where those programs run (tests/engines).
"""

from __future__ import annotations

import json
from typing import ClassVar

import numpy as np
import pytest

from trainspot.common import plugins
from trainspot.common.errors import ContractError, InputError, OutputMissingError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels
from trainspot.models import potential
from trainspot.models.committee import CommitteePotential
from trainspot.models.exported import CALIBRATION, FORMAT, FORMAT_VERSION, MODELS
from trainspot.models.toy import ToyPotential
from trainspot.testing import check_model_file, check_potential, check_trainer, tiny_dataset
from trainspot.testing.samples import few_frames, tiny_model
from trainspot.train import base
from trainspot.train.base import Trainer
from trainspot.train.toy import METRICS, ToySettings, ToyTrainer, fit


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture
def frames():
    return few_frames(tiny_dataset())


def test_every_trainer_and_kind_is_under_test():
    """Those of MACE in tests/engines."""
    assert plugins.names(base.GROUP) == ["mace", "toy"]
    assert plugins.names(potential.GROUP) == ["committee", "mace", "toy"]


def test_the_toy_trainer(tmp_path):
    result = check_trainer("toy", tmp_path, diverging={"energy_weight": 1e300})
    assert result.model.is_file()


def test_the_toy_model(model, frames):
    check_potential(model, frames)


def test_the_committee_of_an_export(tmp_path, model, frames):
    export, files = tmp_path / "export", tmp_path / "files"
    (export / MODELS).mkdir(parents=True)
    files.mkdir()
    names = ["member_0.toy", "member_1.toy"]
    for seed, name in enumerate(names):
        fit(tiny_dataset(), ToySettings(), seed)[0].save(export / MODELS / name)
    one = {"slope": 2.0, "sigma": 3.0, "threshold": 0.05, "fitted": True}
    content = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "models": names,
        "properties": {"forces": one},
    }
    (export / CALIBRATION).write_text(json.dumps(content))
    committee = CommitteePotential.load(export)
    check_potential(committee, frames, path=export, folder=files)


# ── the contract of trainers itself ───────────────────────────────────────────
class Crashing(ToyTrainer):
    """``run`` crashes."""

    @classmethod
    def run(cls, directory):
        raise KeyError("weights")


class Forgetful(ToyTrainer):
    """``outputs`` leaves out the model."""

    @classmethod
    def outputs(cls, settings):
        return [METRICS]


class Misspelt(ToyTrainer):
    """``arguments`` that the program does not understand."""

    @classmethod
    def arguments(cls, settings):
        return ["train-membr", cls.name]


class Untyped(ToyTrainer):
    """``read_outputs`` returns something else."""

    @classmethod
    def read_outputs(cls, directory):
        if not (directory / METRICS).is_file():
            raise OutputMissingError("was not written", where=METRICS)
        return {"model": directory / cls.model_filename}


class Stubborn(ToyTrainer):
    """``start`` is ignored."""

    @classmethod
    def write_inputs(cls, directory, dataset, settings, seed, *, start=None, checkpoint=None):
        super().write_inputs(directory, dataset, settings, seed, checkpoint=checkpoint)


class Sly(ToyTrainer):
    """``start`` is copied, and ignored."""

    @classmethod
    def write_inputs(cls, directory, dataset, settings, seed, *, start=None, checkpoint=None):
        super().write_inputs(directory, dataset, settings, seed, checkpoint=checkpoint)
        if start is not None:
            (directory / "start.toy").write_bytes(start.read_bytes())


class Careless(ToyTrainer):
    """Declares that it takes no ``start``, and does not refuse it."""

    takes_start = False

    @classmethod
    def refuse_unsupported(cls, start, checkpoint):
        pass


class Fitting(ToyTrainer):
    """Reference energies are fitted although the atoms are labelled."""

    @classmethod
    def write_inputs(cls, directory, dataset, settings, seed, **files):
        shifted = Dataset.from_frames(
            frame.with_(labels=Labels(frame.labels.energy + 0.1, frame.labels.forces))
            if len(frame) == 1
            else frame.with_(labels=Labels(frame.labels.energy, frame.labels.forces))
            for frame in dataset
        )
        super().write_inputs(directory, shifted, settings, seed, **files)


class Peeping(ToyTrainer):
    """Looks at the test set."""

    @classmethod
    def write_inputs(cls, directory, dataset, settings, seed, **files):
        super().write_inputs(directory, dataset, settings, seed, **files)
        (directory / "more").write_bytes(dataset.subset("test").column("energy").tobytes())


class Endless(ToyTrainer):
    """Halves for ever."""

    @classmethod
    def with_half_batch(cls, settings):
        return {**settings, "ridge": settings["ridge"] / 2}


class Codeless(ToyTrainer):
    """Names no computer."""

    default_code = "trainspot"


class Shifting(ToyTrainer):
    """Takes another file than the one that is missing for the model."""

    @classmethod
    def read_outputs(cls, directory):
        result = super().read_outputs(directory)
        return type(result)(directory / "model", None, result.metrics, result.warnings)


class Raw(ToyTrainer):
    """Errors of the reader come through."""

    @classmethod
    def read_outputs(cls, directory):
        if not (directory / METRICS).is_file():
            raise OutputMissingError("was not written", where=METRICS)
        json.loads((directory / METRICS).read_text())
        return super().read_outputs(directory)


class Chancy(ToyTrainer):
    """Writes other bytes each time."""

    @classmethod
    def write_inputs(cls, directory, dataset, settings, seed, **files):
        super().write_inputs(directory, dataset, settings, seed, **files)
        (directory / "where").write_text(str(directory))


class Alike(ToyTrainer):
    """Writes the seed and trains with another one, always the same."""

    @classmethod
    def write_inputs(cls, directory, dataset, settings, seed, **files):
        super().write_inputs(directory, dataset, settings, 5, **files)
        (directory / "seed.txt").write_text(str(seed))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (Crashing, r"run\(\) raised KeyError: 'weights'"),
        (Forgetful, r"outputs\(\) \(metrics.json\) leaves out what read_outputs\(\) needs.*model"),
        (Misspelt, r"'trainspot train-membr toy' ended with status 2: .*train-membr"),
        (Untyped, r"read_outputs\(\) returned a dict, not a TrainingResult"),
        (Stubborn, "'start' is ignored: the same files are written"),
        (Sly, "'start' is ignored: the model is that of a training from scratch"),
        (Careless, "takes_start is False, is not refused with InputError"),
        (Fitting, "isolated atom of Al has .* reference energies are fixed, not fitted"),
        (Peeping, "test labels change the input files"),
        (Endless, r"with_half_batch\(\) still finds something to halve"),
        (Codeless, "default_code is 'trainspot', not label@computer"),
        (Shifting, r"read_outputs\(\) names no model file in the folder"),
        (Raw, r"read_outputs\(\) where metrics.json is cut off .* raised JSONDecodeError"),
        (Chancy, "the same arguments do not write the same bytes of "),
        (Alike, "two seeds make the same model: the members of a committee could not disagree"),
    ],
)
def test_a_wrong_trainer_is_caught_by_name(tmp_path, wrong, message):
    with pytest.raises(AssertionError, match=rf"trainer 'toy' \(.*{wrong.__name__}\): .*{message}"):
        check_trainer(wrong, tmp_path)


@pytest.mark.parametrize("missing", ["with_half_batch", "default_code", "outputs", "model_kind"])
def test_a_trainer_that_lacks_something_is_refused_when_its_class_is_made(missing):
    """Whoever derives from the base class, not from a whole trainer."""
    body = {name: value for name, value in vars(ToyTrainer).items() if name != missing}
    with pytest.raises(ContractError, match=rf"Lacking: lacks {missing}\b"):
        type("Lacking", (Trainer,), body)


def test_a_dataset_that_cannot_show_anything_is_refused(tmp_path):
    bodies = Dataset.from_frames(frame for frame in tiny_dataset() if len(frame) > 1)
    with pytest.raises(InputError, match="needs a labelled isolated atom"):
        check_trainer("toy", tmp_path, dataset=bodies)


# ── the contract of models itself ─────────────────────────────────────────────
class Greedy(ToyPotential):
    @classmethod
    def recognises(cls, path):
        return path.suffix == ".toy"


class Shy(ToyPotential):
    @classmethod
    def recognises(cls, path):
        return False


class Nervous(ToyPotential):
    @classmethod
    def recognises(cls, path):
        return b"header.npy" in path.read_bytes()


class Plain(ToyPotential):
    @classmethod
    def load(cls, path, *, dtype="float64", device="cpu"):
        try:
            return super().load(path)
        except InputError as error:
            raise ValueError("not a model") from error


class Trusting(ToyPotential):
    last: ClassVar[ToyPotential | None] = None

    @classmethod
    def load(cls, path, *, dtype="float64", device="cpu"):
        try:
            cls.last = super().load(path)
        except InputError:
            return cls.last
        return cls.last


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (Greedy, r"recognises\(\) takes a text, named stranger_0.toy, for a model of its own"),
        (Shy, r"recognises\(\) does not know a model of its own"),
        (Nervous, r"recognises\(\) of a folder raised IsADirectoryError"),
        (Plain, "loading a model of which half is missing raised ValueError instead of DataError"),
        (Trusting, "loading a model of which half is missing is not refused with DataError"),
    ],
)
def test_a_wrong_kind_of_models_is_caught_by_name(tmp_path, model, monkeypatch, wrong, message):
    only_this(monkeypatch, wrong)
    path = tmp_path / "model.toy"
    model.save(path)
    wrong.load(path)
    files = tmp_path / "files"
    files.mkdir()
    with pytest.raises(
        AssertionError, match=rf"model kind 'toy' \(.*{wrong.__name__}\): {message}"
    ):
        check_model_file(wrong, path, files)


@pytest.mark.parametrize("wrong", [Greedy, Shy, Plain])
def test_a_wrong_kind_is_caught_with_its_trainer(tmp_path, monkeypatch, wrong):
    only_this(monkeypatch, wrong)
    with pytest.raises(AssertionError, match=rf"model kind 'toy' \(.*{wrong.__name__}\): "):
        check_trainer("toy", tmp_path)


def only_this(monkeypatch, kind):
    """Let one kind of models be registered, and no other."""
    names, load = plugins.names, plugins.load
    monkeypatch.setattr(
        plugins, "names", lambda g: [kind.kind] if g == potential.GROUP else names(g)
    )
    monkeypatch.setattr(
        plugins, "load", lambda g, n, **kw: kind if g == potential.GROUP else load(g, n, **kw)
    )


def test_a_second_kind_that_recognises_the_same_files_is_caught(tmp_path, model, monkeypatch):
    load = plugins.load
    monkeypatch.setattr(plugins, "names", lambda group: ["greedy", "toy"])
    monkeypatch.setattr(plugins, "load", lambda g, n: Greedy if n == "greedy" else load(g, n))
    path = tmp_path / "model.toy"
    model.save(path)
    with pytest.raises(AssertionError, match=r"the kind 'greedy' recognises model\.toy as well"):
        check_model_file("toy", path, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e, f, s: (e, 1.01 * f, s), "forces are not minus the gradient"),
        (lambda e, f, s: (e, f, None if s is None else -s), "stress is not the strain derivative"),
        (
            lambda e, f, s: (e, f, np.zeros((3, 3)) if s is None else s),
            "stress must be present exactly for periodic frames",
        ),
        (lambda e, f, s: (e, f[:-1], s), "forces have the shape"),
    ],
)
def test_wrong_predictions_are_caught(model, frames, change, message):
    class Wrong(ToyPotential):
        def predict(self, prepared):
            found = super().predict(prepared)
            return [Labels(*change(one.energy, one.forces, one.stress)) for one in found]

    wrong = Wrong(model.basis, model.coefficients, model.e0s)
    with pytest.raises(AssertionError, match=message):
        check_potential(wrong, frames)


def test_a_model_that_guesses_unknown_elements_is_caught(model, frames):
    class Guessing(ToyPotential):
        def prepare(self, frames):
            return super().prepare(
                [Frame.make([13] * len(f), f.positions, f.cell, f.pbc) for f in frames]
            )

    wrong = Guessing(model.basis, model.coefficients, model.e0s)
    with pytest.raises(AssertionError, match="does not know is not refused with InputError"):
        check_potential(wrong, frames)
