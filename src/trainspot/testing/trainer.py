"""The contract test of trainers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trainspot.common import plugins
from trainspot.common.errors import InputError
from trainspot.common.validation import parse_settings
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Labels
from trainspot.data.isolated import is_isolated_atom
from trainspot.models import potential
from trainspot.testing.claims import Claims, check_code, check_settings
from trainspot.testing.hooks import check_hooks
from trainspot.testing.potential import check_potential
from trainspot.testing.samples import few_frames, tiny_dataset
from trainspot.testing.training import Training
from trainspot.train.base import Trainer
from trainspot.train.run import trainer as registered

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from trainspot.data.frames import Frame
    from trainspot.models.potential import Potential
    from trainspot.train.base import TrainingResult

_SEED = 1
_HALVINGS = 64
_SAME = 1e-6  # eV/atom; predictions of one model
_DIFFERENT = 1e-8  # eV/atom; smaller differences mean the same model


@dataclass(frozen=True)
class _Subject:
    """A trainer under test, with its settings, dataset and frames."""

    claims: Claims
    engine: type[Trainer]
    settings: Any
    dataset: Dataset
    frames: Sequence[Frame]
    folder: Path

    def training(self, name: str, settings: Any = None) -> Training:
        """A training in a folder of its own."""
        folder = self.folder / name
        folder.mkdir()
        chosen = self.settings if settings is None else settings
        return Training(self.claims, self.engine, chosen, folder)

    def load(self, result: TrainingResult) -> Potential:
        """The model of a training, loaded by its kind."""
        with self.claims.works(f"loading {result.model.name} as kind '{self.engine.model_kind}'"):
            return potential.load(result.model, kind=self.engine.model_kind)

    def energies(self, model: Potential) -> np.ndarray:
        """Predictions of the test frames, eV/atom, (N,)."""
        with self.claims.works("predictions of the trained model"):
            labels = model.predict(model.prepare(self.frames))
        pairs = zip(labels, self.frames, strict=True)
        return np.array([(prediction.energy or 0.0) / len(frame) for prediction, frame in pairs])


def check_trainer(
    trainer: str | type[Trainer],
    folder: Path,
    *,
    settings: Mapping[str, Any] | None = None,
    dataset: Dataset | None = None,
    frames: Sequence[Frame] | None = None,
    diverging: Mapping[str, Any] | None = None,
    tolerance: float = 1e-4,
    atom_tolerance: float = 1e-3,
) -> TrainingResult:
    """Assert the contract of a trainer with two to five tiny trainings.

    Two trainings are always run: one by the program, and one with another seed. There is one more
    for ``runs_in_process``, ``takes_start`` and ``diverging`` each.

    - Declared code, program and kind of model exist; settings have defaults and descriptions and
      refuse unknown keys; ``preflight`` gives remarks of one line.
    - The same arguments write the same bytes; labels of the test split have no effect; without
      labelled training frames the trainer refuses and writes nothing.
    - Another seed makes another model: members of a committee that are alike cannot disagree.
    - The program accepts ``arguments``; if the trainer ``runs_in_process``, ``run`` gives the same
      model.
    - ``read_outputs`` needs no other files than those of ``outputs`` and returns a
      ``TrainingResult``. Missing or incomplete files raise the documented errors.
    - The model kind loads the model and fulfils its own contract (``check_potential``,
      ``check_model_file``).
    - The model reproduces the energies of labelled isolated atoms.
    - A training from a start model gives another model than a training from scratch, or the
      trainer declares ``takes_start = False`` and refuses.
    - With ``keeps_checkpoints``, a checkpoint changes the input files, and an incomplete one is not
      taken. Whether the program continues from it is not tested: a training that continues may
      rightly end with the same model. Kill a training of yours once, and look.
    - Halving the batch repeatedly comes to an end.

    Every ``AssertionError`` names the trainer and its fault. An incomplete class raises a
    ``ContractError`` when it is defined.

    Args:
        trainer: Its registered name, or its class.
        folder: An empty folder.
        settings: Settings of a training of seconds; others have their defaults.
        dataset: Labelled frames in all three splits, and a labelled isolated atom of each element
            in the split train. Default: ``tiny_dataset``, aluminium and copper.
        frames: Frames for predictions: a crystal, a slab, a molecule. Default: made from the
            dataset.
        diverging: Settings with which a training diverges; ``read_outputs`` must then raise
            ``TrainingDivergedError``. Not checked by default.
        tolerance: Of forces (eV/Å) and stress (eV/Å³) against finite differences.
        atom_tolerance: Of the energy of an isolated atom, eV.

    Returns:
        The training from scratch; its files are in the folder.
    """
    engine = registered(trainer) if isinstance(trainer, str) else Trainer.implementation(trainer)
    claims = Claims("trainer", engine.name, engine)
    if isinstance(trainer, str):
        claims(engine.name == trainer, f"its name is not the registered one, '{trainer}'")
    dataset = tiny_dataset() if dataset is None else dataset
    chosen = few_frames(dataset) if frames is None else list(frames)
    parsed = _check_declarations(claims, engine, settings or {})
    subject = _Subject(claims, engine, parsed, dataset, chosen, folder)
    _check_inputs(subject)
    training = subject.training("program")
    result = _check_training(subject, training, tolerance)
    _check_atoms(subject, subject.load(result), atom_tolerance)
    _check_seed(subject, result)
    _check_start(subject, result)
    _check_checkpoint(subject, result, training.clean)
    if diverging is not None:
        with_errors = parse_settings(engine.Settings, {**(settings or {}), **diverging})
        training = subject.training("diverging", with_errors)
        training.write(dataset, _SEED)
        training.diverges()
    return result


def _check_declarations(claims: Claims, engine: type[Trainer], settings: Mapping[str, Any]) -> Any:
    """Check attributes, settings and methods that need no training; returns the settings."""
    check_code(claims, engine.default_code)
    claims(engine.executable, "executable is empty")
    filename = engine.model_filename
    claims(filename and "/" not in filename, "model_filename is not the name of a file")
    kinds = plugins.names(potential.GROUP)
    claims(
        engine.model_kind in kinds,
        f"model_kind '{engine.model_kind}' is not registered in {potential.GROUP}",
    )
    with claims.works("settings that are all left at their defaults"):
        engine.Settings()
    parsed = check_settings(claims, engine.Settings, settings)
    check_hooks(claims, engine, parsed, tiny_dataset())
    words = engine.arguments(parsed)
    claims(_are_texts(words), f"arguments() gives {words!r}, not a list of texts")
    patterns = engine.outputs(parsed)
    claims(_are_texts(patterns) and patterns, f"outputs() gives {patterns!r}, not file names")
    _check_halving(claims, engine, parsed)
    return parsed


def _are_texts(words: Any) -> bool:
    return isinstance(words, list) and all(isinstance(word, str) for word in words)


def _check_halving(claims: Claims, engine: type[Trainer], settings: Any) -> None:
    """Halve the batch until ``with_half_batch`` returns ``None``."""
    plain = settings.model_dump(mode="json")
    for _ in range(_HALVINGS):
        with claims.works("with_half_batch()"):
            smaller = engine.with_half_batch(plain)
        if smaller is None:
            return
        claims(isinstance(smaller, dict), "with_half_batch() gives neither settings nor None")
        with claims.works("the settings that with_half_batch() gives"):
            parse_settings(engine.Settings, smaller)
        claims(smaller != plain, "with_half_batch() changes nothing; it gives None at the end")
        plain = smaller
    claims(False, f"with_half_batch() still finds something to halve after {_HALVINGS} times")


def _check_inputs(subject: _Subject) -> None:
    """Check the input files."""
    claims, dataset, engine = subject.claims, subject.dataset, subject.engine
    for name in ("train", "validation", "test"):
        if not len(dataset.labelled().subset(name)):
            raise InputError(f"check_trainer needs labelled frames in the split '{name}'")
    first = subject.training("inputs").write(dataset, _SEED)
    claims(first, "write_inputs() writes nothing")
    again = subject.training("inputs_again").write(dataset, _SEED)
    differing = sorted(n for n in {*first, *again} if first.get(n) != again.get(n))
    claims(
        not differing,
        f"the same arguments do not write the same bytes of {', '.join(differing)}: no dates, no "
        "absolute paths",
    )
    spoilt = subject.training("inputs_spoilt").write(_spoilt(dataset), _SEED)
    claims(spoilt == first, "test labels change the input files")
    for bad, what in (
        (dataset.unlabelled(), "a dataset without labels"),
        (dataset.subset("test"), "a dataset without training frames"),
    ):
        training = subject.training(f"inputs_{what.rpartition(' ')[2]}")
        with claims.refuses(InputError, what):
            engine.write_inputs(training.folder, bad, subject.settings, _SEED)
        claims(not any(training.folder.iterdir()), f"something is written for {what}")
    subject.training("nothing").is_empty()


def _spoilt(dataset: Dataset) -> Dataset:
    """The same frames, with wrong labels in the split test."""
    return Dataset.from_frames(
        frame.with_(labels=Labels(1e6, np.ones((len(frame), 3)), None, frame.labels.theory))
        if frame.split == "test"
        else frame
        for frame in dataset
    )


def _check_training(subject: _Subject, training: Training, tolerance: float) -> TrainingResult:
    """Train with the program and, if possible, in this process; read, load and test the model."""
    training.write(subject.dataset, _SEED)
    training.run_program()
    result = training.read()
    training.check_damaged_outputs()
    files = subject.folder / "files"
    files.mkdir()
    model = subject.load(result)
    claims = subject.claims
    claims(model.kind == subject.engine.model_kind, f"the model says that its kind is {model.kind}")
    check_potential(model, subject.frames, tolerance, path=result.model, folder=files)
    if not subject.engine.runs_in_process:
        return result
    here = subject.training("in_process")
    here.write(subject.dataset, _SEED)
    with claims.works("run()"):
        subject.engine.run(here.folder)
    same = np.abs(subject.energies(subject.load(here.read())) - subject.energies(model))
    claims(same.max() < _SAME, "run() and the program do not train the same model")
    return result


def _check_seed(subject: _Subject, result: TrainingResult) -> None:
    """Another seed makes another model."""
    training = subject.training("another_seed")
    training.write(subject.dataset, _SEED + 1)
    training.run_program()
    models = [subject.load(one) for one in (result, training.read())]
    first, second = (subject.energies(model) for model in models)
    subject.claims(
        np.abs(first - second).max() > _DIFFERENT,
        "two seeds make the same model: the members of a committee could not disagree",
    )


def _check_atoms(subject: _Subject, model: Potential, tolerance: float) -> None:
    """The model gives labelled isolated atoms the energy of their label."""
    train = subject.dataset.labelled().subset("train")
    atoms = [frame for frame in train if is_isolated_atom(frame)]
    if not atoms:
        raise InputError("check_trainer needs a labelled isolated atom in the training set")
    for frame, labels in zip(atoms, model.predict(model.prepare(atoms)), strict=True):
        label = frame.labels.energy
        assert label is not None
        predicted = float("nan") if labels.energy is None else labels.energy
        subject.claims(
            abs(predicted - label) < tolerance,
            f"the isolated atom of {frame.to_atoms().symbols} has {predicted:.6g} eV, not the "
            f"{label:.6g} eV of its label: reference energies are fixed, not fitted",
        )


def _check_start(subject: _Subject, scratch: TrainingResult) -> None:
    """A start model is used, or refused as declared."""
    claims, engine = subject.claims, subject.engine
    training = subject.training("start")
    start = subject.folder / f"to_start_from_{engine.model_filename}"
    start.write_bytes(scratch.model.read_bytes())
    if not engine.takes_start:
        with claims.refuses(InputError, "a model to start from, where takes_start is False,"):
            engine.write_inputs(
                training.folder, subject.dataset, subject.settings, _SEED, start=start
            )
        claims(not any(training.folder.iterdir()), "something is written for a refused start")
        return
    ignored = "'start' is ignored: {}; use it, or declare takes_start = False and refuse it"
    written = training.write(subject.dataset, _SEED, start=start)
    fresh = subject.training("from_scratch").write(subject.dataset, _SEED)
    claims(written != fresh, ignored.format("the same files are written"))
    start.unlink()  # the training runs elsewhere: it needs a copy
    training.run_program()
    energies = subject.energies(subject.load(training.read()))
    before = subject.energies(subject.load(scratch))
    claims(
        np.abs(energies - before).max() > _DIFFERENT,
        ignored.format("the model is that of a training from scratch"),
    )


def _check_checkpoint(subject: _Subject, result: TrainingResult, clean: Path) -> None:
    """A checkpoint is read and used by the next training, or refused as declared.

    Args:
        subject: The trainer.
        result: Of the training by the program.
        clean: The folder with its retrieved files.
    """
    claims, engine = subject.claims, subject.engine
    training = subject.training("checkpoint")
    if not engine.keeps_checkpoints:
        claims(result.checkpoint is None, "leaves a checkpoint but declares no keeps_checkpoints")
        with claims.refuses(InputError, "a checkpoint, where keeps_checkpoints is False,"):
            engine.write_inputs(
                training.folder, subject.dataset, subject.settings, _SEED, checkpoint=result.model
            )
        return
    kept = engine.read_checkpoint(clean)
    claims(kept is not None, "keeps_checkpoints, but outputs() brings none back")
    assert kept is not None
    written = training.write(subject.dataset, _SEED, checkpoint=kept)
    fresh = subject.training("without_checkpoint").write(subject.dataset, _SEED)
    claims(written != fresh, "the checkpoint is ignored: the same files are written")
    kept.write_bytes(kept.read_bytes()[: kept.stat().st_size // 2])
    with claims.works("read_checkpoint() of a checkpoint that was cut off"):
        again = engine.read_checkpoint(clean)
    claims(again != kept, "read_checkpoint() takes a checkpoint that was cut off")
