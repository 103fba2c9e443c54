"""The trainer ``ridge``, and the program ``trainspot-ridge`` that trains one member.

The program reads ``settings.json`` and ``dataset.h5`` in the working directory and leaves
``model.ridge`` and ``metrics.json``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

import trainspot
from trainspot import Dataset, Frame
from trainspot.common.errors import (
    DataError,
    OutputMissingError,
    OutputUnreadableError,
    TrainingDivergedError,
    TrainspotError,
)
from trainspot.common.seeds import generator
from trainspot.train.base import Trainer, TrainingResult, reference_energies, training_sets
from trainspot_ridge.potential import Array, Basis, RidgePotential

MODEL, METRICS = "model.ridge", "metrics.json"


class RidgeSettings(BaseModel):
    """Hyper-parameters of the trainer ``ridge``."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    cutoff: float = Field(5.0, gt=1.0, description="Å; atoms farther apart do not interact")
    n_radial: int = Field(10, ge=2, description="radial functions of each pair of elements")
    ridge: float = Field(1e-4, gt=0.0, description="penalty on the coefficients, relative")
    energy_weight: float = Field(10.0, ge=0.0, description="weight of eV/atom in the fit")
    forces_weight: float = Field(1.0, ge=0.0, description="weight of eV/Å in the fit")
    stress_weight: float = Field(10.0, ge=0.0, description="weight of eV/Å³ in the fit")


class RidgeTrainer(Trainer):
    """Fits ``RidgePotential``. Members differ by the frames that each of them draws."""

    name: ClassVar[str] = "ridge"
    Settings: ClassVar[type[BaseModel]] = RidgeSettings
    executable: ClassVar[str] = "trainspot-ridge"
    model_kind: ClassVar[str] = "ridge"
    model_filename: ClassVar[str] = MODEL
    default_code: ClassVar[str] = "ridge@localhost"
    takes_start: ClassVar[bool] = False

    @classmethod
    def write_inputs(
        cls,
        directory: Path,
        dataset: Dataset,
        settings: RidgeSettings,
        seed: int,
        *,
        start: Path | None = None,
        checkpoint: Path | None = None,
    ) -> None:
        """Write ``settings.json`` and ``dataset.h5``."""
        cls.refuse_unsupported(start, checkpoint)
        train, validation = training_sets(dataset)
        trainspot.write(train.merge(validation), directory / "dataset.h5")
        content = json.dumps({"seed": seed, **settings.model_dump()}, indent=2, sort_keys=True)
        (directory / "settings.json").write_text(content + "\n", encoding="utf-8")

    @classmethod
    def arguments(cls, settings: RidgeSettings) -> list[str]:
        """The program needs none: all it reads is in its folder."""
        del settings
        return []

    @classmethod
    def outputs(cls, settings: RidgeSettings) -> list[str]:
        """The model and the metrics."""
        del settings
        return [MODEL, METRICS]

    @classmethod
    def read_outputs(cls, directory: Path) -> TrainingResult:
        """Read what the program left."""
        model, metrics = directory / MODEL, directory / METRICS
        for path in (model, metrics):
            if not path.is_file():
                raise OutputMissingError("was not written", where=path.name)
        try:
            report = json.loads(metrics.read_text(encoding="utf-8"))
            epochs, warnings = list(report["epochs"]), list(report["warnings"])
            coefficients = RidgePotential.load(model).coefficients
        except (ValueError, KeyError, TypeError, DataError) as error:
            raise OutputUnreadableError(f"cannot be read ({error})", where=METRICS) from error
        if not np.all(np.isfinite(coefficients)):
            raise TrainingDivergedError("the coefficients are not finite", where=MODEL)
        return TrainingResult(model, None, epochs, warnings)

    @classmethod
    def with_half_batch(cls, settings: Mapping[str, Any]) -> dict[str, Any] | None:
        """There are no batches to halve."""
        del settings
        return None


def fit(
    dataset: Dataset, settings: RidgeSettings, seed: int
) -> tuple[RidgePotential, dict[str, float], list[str]]:
    """Fit one member to training frames that its seed draws with replacement.

    Returns:
        The model, its root-mean-square errors, and what to warn of.
    """
    train, validation = training_sets(dataset)
    e0s, warnings = reference_energies(train)
    basis = Basis(tuple(e0s), settings.cutoff, settings.n_radial)
    empty = RidgePotential(basis, np.zeros(basis.size), np.array(list(e0s.values())))
    frames = list(train)
    drawn = np.bincount(generator(seed, "bootstrap").integers(len(frames), size=len(frames)))
    blocks = [
        np.sqrt(times) * _equations(frame, empty, settings)
        for frame, times in zip(frames, drawn, strict=False)  # the last may never be drawn
        if times
    ]
    table = np.concatenate(blocks)  # the right-hand side is the last column
    gram = table[:, :-1].T @ table[:, :-1]
    penalty = settings.ridge * max(float(np.trace(gram)) / basis.size, 1e-12)
    right = table[:, :-1].T @ table[:, -1]
    coefficients = np.linalg.solve(gram + penalty * np.eye(basis.size), right)
    model = RidgePotential(basis, coefficients, empty.e0s)
    errors = _errors("train", train, model) | _errors("validation", validation, model)
    return model, errors, warnings


def _equations(frame: Frame, empty: RidgePotential, settings: RidgeSettings) -> Array:
    """Weighted rows of a frame's labels; the last column is what is left to explain."""
    labels, one = frame.labels, empty.basis.design(frame)
    rows: list[Array] = [np.zeros((0, 1 + one.energy.size))]

    def add(columns: Array, values: Array, weight: float) -> None:
        flat = columns.reshape(-1, one.energy.size)
        left = values.ravel() - flat[:, 0]  # column 0 is the core, which is not fitted
        rows.append(weight * np.column_stack([flat, left]))

    if labels.energy is not None:
        energy = np.array([labels.energy - empty.atoms(one)])
        add(one.energy, energy, settings.energy_weight / len(frame))
    if labels.forces is not None:
        add(one.forces, labels.forces, settings.forces_weight)
    if labels.stress is not None and frame.pbc.all():
        add(one.strain / one.volume, labels.stress, settings.stress_weight)
    return np.concatenate(rows)[:, 1:]


def _errors(name: str, frames: Dataset, model: RidgePotential) -> dict[str, float]:
    """Root-mean-square errors of energy (eV/atom) and forces (eV/Å) where there are labels."""
    energies: list[float] = []
    forces: list[Array] = []
    for frame in frames:
        (predicted,) = model.predict(model.prepare([frame]))
        assert predicted.energy is not None
        assert predicted.forces is not None
        if frame.labels.energy is not None:
            energies.append((predicted.energy - frame.labels.energy) / len(frame))
        if frame.labels.forces is not None:
            forces.append(predicted.forces - frame.labels.forces)
    errors = {}
    if energies:
        errors[f"{name}_energy"] = float(np.sqrt(np.mean(np.square(energies))))
    if forces:
        errors[f"{name}_forces"] = float(np.sqrt(np.mean(np.square(np.concatenate(forces)))))
    return errors


def main() -> None:
    """Train the member whose inputs lie in the working directory."""
    argparse.ArgumentParser(description=main.__doc__).parse_args()  # for --help
    try:
        given = json.loads(Path("settings.json").read_text(encoding="utf-8"))
        seed = given.pop("seed")
        model, errors, warnings = fit(trainspot.read("dataset.h5"), RidgeSettings(**given), seed)
    except (OSError, TrainspotError) as error:  # other errors are ours: let Python show where
        sys.exit(f"trainspot-ridge: {error}")
    model.save(Path(MODEL))
    report = {"epochs": [{"epoch": 0, **errors}], "warnings": warnings}
    Path(METRICS).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
