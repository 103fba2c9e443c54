"""The MACE trainer: ``mace_run_train --config config.yaml`` in a folder of its own.

This module reads and writes text only. It imports neither torch nor MACE, so the machine that
prepares a job can do without these packages.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, ClassVar, Final

import yaml
from pydantic import BaseModel

from trainspot import io
from trainspot.common.archives import is_whole
from trainspot.common.elements import by_number, numbers_of, symbols
from trainspot.common.errors import (
    InputError,
    OutputMissingError,
    OutputUnreadableError,
    TrainingDivergedError,
    TrainingError,
)
from trainspot.data.frames import Frame, Labels, Origin
from trainspot.data.isolated import is_isolated_atom
from trainspot.engine import Preflight, Program, Remark
from trainspot.train.base import (
    Trainer,
    TrainingResult,
    reference_energies,
    training_sets,
)
from trainspot.train.mace_settings import MaceSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from trainspot.data.dataset import Dataset

__all__ = ["MaceSettings", "MaceTrainer"]

NAME: Final = "mace"
CONFIG: Final = "config.yaml"
TRAIN: Final = "train.extxyz"
VALIDATION: Final = "validation.extxyz"
START: Final = "start.model"
NOTES: Final = "notes.json"
MODELS: Final = (f"{NAME}_stagetwo.model", f"{NAME}.model")  # the better model first
_CHECKPOINT: Final = re.compile(rf"{NAME}_run-\d+_epoch-(\d+)(?:_swa)?\.pt")
_WARNING: Final = re.compile(r"^.*?\b(?:WARNING|ERROR):?\s+(?P<text>.*\S)")
_MAX_WARNINGS: Final = 20
_LOSSES: Final = {"opt": "training", "eval": "validation"}
_FALSE_ALARM: Final = "No SWA checkpoint found"  # logged at every restart


class MaceTrainer(Trainer):
    """Trains MACE; see ``trainspot.train.base.Trainer``."""

    name: ClassVar[str] = "mace"
    default_code: ClassVar[str] = "mace@localhost"
    Settings: ClassVar[type[BaseModel]] = MaceSettings
    executable: ClassVar[str] = "mace_run_train"
    model_kind: ClassVar[str] = "mace"
    model_filename: ClassVar[str] = "model.mace"
    keeps_checkpoints: ClassVar[bool] = True
    e0s_setting: ClassVar[str] = "e0s"
    extra: ClassVar[str] = "mace"

    @classmethod
    def program(cls) -> Program:
        """``mace_run_train``; what it says on --help differs between versions."""
        return Program(
            "mace",
            cls.executable,
            calculation="trainspot.mace_train",
            module="mace",
            says="",
            is_quick=False,
        )

    @classmethod
    def preflight(cls, facts: Preflight) -> Iterator[Remark]:
        """Check that given reference energies are those of all elements.

        An element of unlabelled frames only is a warning: the augmentation may replace it.
        """
        if facts.settings.e0s is None:
            return
        labelled = set(numbers_of(facts.inputs.labelled().species))
        to_label = {number for frame in facts.unlabelled() for number in frame.numbers.tolist()}
        missing = (labelled | to_label) - by_number(facts.settings.e0s).keys()
        if missing:
            yield Remark(
                "error" if missing & labelled else "warning",
                f"train.e0s: no energy of an isolated atom of {symbols(missing)}; add it, or leave "
                "e0s out",
            )

    @classmethod
    def write_inputs(
        cls,
        directory: Path,
        dataset: Dataset,
        settings: MaceSettings,
        seed: int,
        *,
        start: Path | None = None,
        checkpoint: Path | None = None,
    ) -> None:
        """Write the frames, ``config.yaml`` and notes; see ``Trainer.write_inputs``."""
        train, validation = training_sets(dataset)
        e0s, notes = _e0s(train.merge(validation), train, settings)
        bodies = [frame for frame in train if not is_isolated_atom(frame)]
        if not bodies:
            raise InputError("nothing to train on but isolated atoms", hint="label other frames")
        checks = [frame for frame in validation if not is_isolated_atom(frame)]
        if not checks:
            checks = bodies
            notes.append("no validation frames: the best epoch is chosen on the training frames")
        _write_frames(directory / TRAIN, bodies)
        _write_frames(directory / VALIDATION, checks)
        config = _config(settings, seed, e0s, n_train=len(bodies), n_validation=len(checks))
        if start is not None:
            (directory / START).write_bytes(start.read_bytes())
            config |= {"foundation_model": START, "multiheads_finetuning": False}
        if checkpoint is not None:
            _place_checkpoint(directory, checkpoint, seed)
            config["restart_latest"] = True
        config |= settings.extra
        if (
            start is not None
            and config["multiheads_finetuning"]
            and not config.get("pt_train_file")
        ):
            raise InputError(
                "multihead replay from a model file needs 'pt_train_file'",
                where="train.settings.extra",
                hint="MACE would switch it off silently",
            )
        (directory / CONFIG).write_text(yaml.safe_dump(config, sort_keys=True, width=1000))
        (directory / NOTES).write_text(json.dumps({"warnings": notes}, indent=2) + "\n")

    @classmethod
    def arguments(cls, settings: MaceSettings) -> list[str]:  # noqa: ARG003  (the file has all settings)
        """The configuration file, which has all settings."""
        return ["--config", CONFIG]

    @classmethod
    def outputs(cls, settings: MaceSettings) -> list[str]:  # noqa: ARG003
        """Models, metrics, logs and checkpoints; not the compiled copies of the models."""
        return [*MODELS, NOTES, "results/*_train.txt", "logs/*[0-9].log", "checkpoints/*.pt"]

    @classmethod
    def read_outputs(cls, directory: Path) -> TrainingResult:
        """Read results, model and checkpoint; see ``Trainer.read_outputs``."""
        metrics = _read_results(directory)
        model = next((directory / name for name in MODELS if (directory / name).is_file()), None)
        if model is None:
            raise OutputMissingError("was not written", where=MODELS[-1])
        if not is_whole(model):
            raise OutputUnreadableError("is damaged", where=model.name)
        warnings = [*_read_notes(directory), *_read_log(directory)]
        return TrainingResult(model, cls.read_checkpoint(directory), metrics, warnings)

    @classmethod
    def progress(cls, directory: Path, settings: MaceSettings) -> float:
        """Share of the requested epochs that are validated."""
        try:
            epoch = int(_read_results(directory)[-1]["epoch"])
        except TrainingError:
            return 0.0
        return min(1.0, (epoch + 1) / settings.max_num_epochs)

    @classmethod
    def read_checkpoint(cls, directory: Path) -> Path | None:
        """The latest complete checkpoint, if there is one."""
        checkpoints = {
            (int(match[1]), path.name): path
            for path in directory.glob("checkpoints/*.pt")
            if (match := _CHECKPOINT.fullmatch(path.name)) and is_whole(path)
        }
        return checkpoints[max(checkpoints)] if checkpoints else None

    @classmethod
    def with_half_batch(cls, settings: Mapping[str, Any]) -> dict[str, Any] | None:
        """The same settings with both batch sizes halved, ``None`` at batches of one."""
        full = MaceSettings(**settings)
        if full.batch_size == full.valid_batch_size == 1:
            return None
        halves = {
            "batch_size": max(1, full.batch_size // 2),
            "valid_batch_size": max(1, full.valid_batch_size // 2),
        }
        return dict(settings) | halves


# ── inputs ────────────────────────────────────────────────────────────────────
def _e0s(
    everything: Dataset, train: Dataset, settings: MaceSettings
) -> tuple[dict[int, float], list[str]]:
    """Reference energies of all elements of the dataset, and warnings.

    MACE also needs the energies of elements that only validation frames have.
    """
    needed = set(numbers_of(everything.species))
    if settings.e0s is not None:
        given = by_number(settings.e0s)
        missing = sorted(needed - given.keys())
        if missing:
            where = "train.settings.e0s"
            raise InputError(f"no reference energy for {symbols(missing)}", where=where)
        return {z: given[z] for z in sorted(needed)}, []
    e0s, notes = reference_energies(train)
    unseen = sorted(needed - e0s.keys())
    if unseen:
        raise InputError(f"{symbols(unseen)} occurs in the validation set but in no training frame")
    return e0s, notes


def _write_frames(path: Path, frames: Iterable[Frame]) -> None:
    """Geometries and labels only, so that metadata of the user cannot change the training."""
    with path.open("w", encoding="utf-8") as handle:
        io.write_extxyz(handle, (_bare(frame) for frame in frames))


def _bare(frame: Frame) -> Frame:
    labels = frame.labels
    # MACE cannot mask components, and only those in the periodic subspace have a meaning
    stress = labels.stress if frame.pbc.all() else None
    plain = Labels(labels.energy, labels.forces, stress)
    return frame.with_(labels=plain, origin=Origin(), split=None, arrays={}, info={})


def _config(
    settings: MaceSettings, seed: int, e0s: Mapping[int, float], *, n_train: int, n_validation: int
) -> dict[str, Any]:
    """All options of ``mace_run_train``, by its own keys."""
    config = settings.model_dump(exclude={"e0s", "ema_decay", "stage_two", "extra"})
    # MACE has no batch and crashes if the batch size exceeds the number of training frames
    config["batch_size"] = min(settings.batch_size, n_train)
    config["valid_batch_size"] = min(settings.valid_batch_size, n_validation)
    if settings.ema_decay is not None:
        config |= {"ema": True, "ema_decay": settings.ema_decay}
    if settings.stage_two is not None:
        config |= {"stage_two": True, "start_stage_two": settings.stage_two}
    return config | {
        "name": NAME,
        "seed": seed,
        "train_file": TRAIN,
        "valid_file": VALIDATION,
        "energy_key": io.REF_ENERGY,
        "forces_key": io.REF_FORCES,
        "stress_key": io.REF_STRESS,
        "E0s": "{" + ", ".join(f"{z}: {energy!r}" for z, energy in e0s.items()) + "}",
        "compute_stress": settings.loss != "weighted",
        "pin_memory": settings.device == "cuda",
        "plot": False,
        "save_cpu": True,
    }


def _place_checkpoint(directory: Path, checkpoint: Path, seed: int) -> None:
    """Copy a checkpoint to the place where MACE expects it; MACE would ignore another seed."""
    tag = f"{NAME}_run-{seed}_epoch-"
    if not (_CHECKPOINT.fullmatch(checkpoint.name) and checkpoint.name.startswith(tag)):
        raise InputError(
            "is not a checkpoint of this member", where=checkpoint.name, hint=f"expected {tag}N.pt"
        )
    folder = directory / "checkpoints"
    folder.mkdir(exist_ok=True)
    (folder / checkpoint.name).write_bytes(checkpoint.read_bytes())


# ── outputs ───────────────────────────────────────────────────────────────────
def _read_results(directory: Path) -> list[dict[str, Any]]:
    """One mapping for each epoch: validation metrics and the mean training loss.

    Restarted trainings append, so the later of two records of one epoch counts. Units are those of
    MACE: eV, Å.
    """
    files = sorted(directory.glob("results/*_train.txt"))
    if not files:
        raise OutputMissingError("was not written", where="results/*_train.txt")
    where = f"results/{files[-1].name}"
    losses: dict[int, list[float]] = {}
    epochs: dict[int, dict[str, Any]] = {}
    text = files[-1].read_text(encoding="utf-8", errors="replace")
    for record in _finite(_records(text, where), where):
        epoch, loss = record.get("epoch"), record.get("loss")
        if not isinstance(epoch, int):
            continue  # validation before the first epoch
        if record.get("mode") == "opt":
            if epoch in epochs:  # a restart repeats this epoch
                epochs.pop(epoch)
                losses[epoch] = []
            losses.setdefault(epoch, []).append(float(loss or 0.0))
        else:
            epochs[epoch] = _figures(record)
    if not epochs:
        raise OutputUnreadableError("holds no finished epoch", where=where)
    for epoch, values in losses.items():
        if epoch in epochs and values:
            epochs[epoch]["train_loss"] = math.fsum(values) / len(values)
    return [epochs[epoch] for epoch in sorted(epochs)]


def _finite(records: Iterable[dict[str, Any]], where: str) -> Iterable[dict[str, Any]]:
    """The records; a loss that is not finite raises, with its epoch and the last finite losses."""
    before: dict[str, str] = {}
    for record in records:
        epoch, loss = record.get("epoch"), record.get("loss")
        if isinstance(loss, float) and not math.isfinite(loss):
            finite = [f"{_LOSSES[mode]} {before[mode]}" for mode in _LOSSES if mode in before]
            history = f" (before: {', '.join(finite)})" if finite else ""
            what = f"the loss is not finite{_in(epoch)}: {loss}{history}"
            raise TrainingDivergedError(what, where=where, hint="lower 'lr'")
        if isinstance(loss, float):
            before[str(record.get("mode"))] = f"{loss:.3g}{_in(epoch)}"
        yield record


def _in(epoch: int | None) -> str:
    return " before the first epoch" if epoch is None else f" in epoch {epoch}"


def _records(text: str, where: str) -> Iterable[dict[str, Any]]:
    """The JSON lines of a results file, without an incomplete last line."""
    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
        except ValueError as error:
            if number == len(lines) and not text.endswith("\n"):
                return
            raise OutputUnreadableError("is not JSON", where=f"{where}:{number}") from error
        if isinstance(record, dict):
            yield record


def _figures(record: Mapping[str, Any]) -> dict[str, Any]:
    """The finite numbers of a record, without times."""
    return {
        key: value
        for key, value in sorted(record.items())
        if key != "time"
        and isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
    }


def _read_notes(directory: Path) -> list[str]:
    try:
        return [str(text) for text in json.loads((directory / NOTES).read_text())["warnings"]]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError) as error:
        raise OutputUnreadableError("cannot be read", where=NOTES) from error


def _read_log(directory: Path) -> list[str]:
    """The warnings of MACE, each once; they show, for example, features that MACE switched off."""
    messages: dict[str, None] = {}
    for path in sorted(directory.glob("logs/*[0-9].log")):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if (match := _WARNING.match(line)) and _FALSE_ALARM not in line:
                messages.setdefault(f"MACE: {match['text']}")
    return list(messages)[:_MAX_WARNINGS]
