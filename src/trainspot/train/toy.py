"""The toy trainer: least squares in numpy; a whole campaign runs in seconds without torch.

``trainspot train-member toy`` (or ``python -m trainspot.train.toy``) trains one member in the
working directory: it reads ``toy.json`` and ``dataset.h5`` and writes ``model.toy`` and
``metrics.json``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from trainspot.common.errors import (
    InputError,
    OutputMissingError,
    OutputUnreadableError,
    TrainingDivergedError,
)
from trainspot.common.seeds import generator
from trainspot.data import hdf5
from trainspot.data.isolated import is_isolated_atom
from trainspot.models.toy import Basis, ToyPotential, derivatives, find_pairs
from trainspot.train.base import (
    Trainer,
    TrainingResult,
    reference_energies,
    training_sets,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from trainspot.data.dataset import Dataset
    from trainspot.data.frames import Frame

    Array = NDArray[np.float64]

__all__ = ["ToyPotential", "ToySettings", "ToyTrainer"]

CONFIG: Final = "toy.json"
METRICS: Final = "metrics.json"
START: Final = "start.toy"
_MIN_SCALE: Final = 1e-3
_BATCH: Final = 32  # frames whose equations are in memory at a time


class ToySettings(BaseModel):
    """Hyper-parameters of the toy trainer."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    cutoff: float = Field(4.5, gt=1.0, description="atoms farther apart do not interact, Å")
    n_radial: int = Field(8, ge=2, description="number of radial functions")
    n_random: int = Field(
        24, ge=0, description="number of random features, drawn from the seed of the member"
    )
    ridge: float = Field(1e-3, gt=0, description="relative penalty on the coefficients")
    bootstrap: bool = Field(
        default=True, description="train each member on a random sample of the training frames"
    )
    repulsion: float = Field(
        40.0, ge=0, description="strength of the fixed repulsion of close atoms, eV"
    )
    energy_weight: float = Field(10.0, ge=0, description="weight of the energies in eV/atom")
    forces_weight: float = Field(1.0, ge=0, description="weight of the forces in eV/Å")
    stress_weight: float = Field(10.0, ge=0, description="weight of the stresses in eV/Å³")


class ToyTrainer(Trainer):
    """Trains ``ToyPotential``; see ``trainspot.train.base.Trainer``."""

    name: ClassVar[str] = "toy"
    Settings: ClassVar[type[BaseModel]] = ToySettings
    executable: ClassVar[str] = "trainspot"
    model_kind: ClassVar[str] = "toy"
    model_filename: ClassVar[str] = "model.toy"
    default_code: ClassVar[str] = "trainspot@localhost"
    runs_in_process: ClassVar[bool] = True

    @classmethod
    def write_inputs(
        cls,
        directory: Path,
        dataset: Dataset,
        settings: ToySettings,
        seed: int,
        *,
        start: Path | None = None,
        checkpoint: Path | None = None,
    ) -> None:
        """Write ``toy.json`` and ``dataset.h5``; see ``Trainer.write_inputs``."""
        cls.refuse_unsupported(start, checkpoint)
        train, validation = training_sets(dataset)
        hdf5.write(train.merge(validation), directory / "dataset.h5")
        config = {"settings": settings.model_dump(), "seed": seed, "start": start is not None}
        (directory / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
        if start is not None:
            (directory / START).write_bytes(start.read_bytes())

    @classmethod
    def arguments(cls, settings: ToySettings) -> list[str]:  # noqa: ARG003  (toy.json has all settings)
        """Train the one member whose inputs lie in the working directory."""
        return ["train-member", cls.name]

    @classmethod
    def outputs(cls, settings: ToySettings) -> list[str]:  # noqa: ARG003
        """The model and the metrics."""
        return [cls.model_filename, METRICS]

    @classmethod
    def run(cls, directory: Path) -> None:
        """Train the member whose inputs lie in ``directory``.

        Raises:
            InputError: The inputs are missing or unusable.
        """
        try:
            config = json.loads((directory / CONFIG).read_text())
        except (OSError, ValueError) as error:
            raise InputError("cannot be read", where=str(directory / CONFIG)) from error
        start = ToyPotential.load(directory / START) if config["start"] else None
        dataset = hdf5.read(directory / "dataset.h5")
        model, metrics, warnings = fit(
            dataset, ToySettings(**config["settings"]), config["seed"], start=start
        )
        model.save(directory / cls.model_filename)
        report = {"epochs": [{"epoch": 0, **metrics}], "warnings": warnings}
        (directory / METRICS).write_text(json.dumps(report, indent=2, sort_keys=True) + "\n")

    @classmethod
    def read_outputs(cls, directory: Path) -> TrainingResult:
        """Read ``model.toy`` and ``metrics.json``; see ``Trainer.read_outputs``."""
        model, metrics = directory / cls.model_filename, directory / METRICS
        for path in (model, metrics):
            if not path.is_file():
                raise OutputMissingError("was not written", where=path.name)
        try:
            report = json.loads(metrics.read_text())
            epochs, warnings = list(report["epochs"]), list(report["warnings"])
            potential = ToyPotential.load(model)
        except (ValueError, KeyError, TypeError, InputError) as error:
            raise OutputUnreadableError(f"cannot be read ({error})", where=metrics.name) from error
        numbers = [value for epoch in epochs for value in epoch.values()]
        if not (np.all(np.isfinite(numbers)) and np.all(np.isfinite(potential.coefficients))):
            raise TrainingDivergedError("the fit is not finite", where=metrics.name)
        return TrainingResult(model, None, epochs, warnings)

    @classmethod
    def progress(cls, directory: Path, settings: ToySettings) -> float:  # noqa: ARG003
        """0 or 1: the fit has no steps."""
        return float((directory / METRICS).is_file())

    @classmethod
    def with_half_batch(cls, settings: Mapping[str, Any]) -> dict[str, Any] | None:  # noqa: ARG003
        """``None``: the fit has no batches, it runs frame by frame."""
        return None


def fit(
    dataset: Dataset, settings: ToySettings, seed: int, *, start: ToyPotential | None = None
) -> tuple[ToyPotential, dict[str, float], list[str]]:
    """Fit one member.

    Ridge least squares on energies per atom, forces and stresses, by normal equations summed
    frame by frame. With a ``start`` model, its functions are kept and the penalty pulls towards
    its coefficients instead of zero.

    Args:
        dataset: Labelled frames with splits.
        settings: Hyper-parameters.
        seed: Draws the random features and the bootstrap sample.
        start: Model to start from.

    Returns:
        The model, the RMSE of the splits train and validation (eV/atom, eV/Å), and warnings.

    Raises:
        InputError: Nothing to train on, or a start model that lacks an element.
    """
    train, validation = training_sets(dataset)
    e0s, warnings = reference_energies(train)
    frames = [frame for frame in train if not is_isolated_atom(frame)]
    if start is None:
        basis = _draw_basis(frames, tuple(e0s), settings, seed)
        prior = np.zeros((len(e0s), basis.n_features))
    else:
        basis, prior = start.basis, start.coefficients
        e0s = dict(zip(start.numbers, start.e0s.tolist(), strict=True)) | e0s
    baseline = ToyPotential(basis, np.zeros_like(prior), np.array([e0s[z] for z in basis.numbers]))
    times = np.ones(len(frames))
    if settings.bootstrap and frames:
        drawn = generator(seed, "bootstrap").integers(len(frames), size=len(frames))
        times = np.bincount(drawn, minlength=len(frames)).astype(np.float64)
    coefficients = _solve(frames, times, baseline, settings, prior)
    model = ToyPotential(basis, coefficients, baseline.e0s)
    metrics = _rmse(model, "train", frames) | _rmse(model, "validation", list(validation))
    return model, metrics, warnings


def _draw_basis(
    frames: Sequence[Frame], numbers: tuple[int, ...], settings: ToySettings, seed: int
) -> Basis:
    """Radial functions, and random features scaled by the densities of the training frames."""
    n_density = len(numbers) * settings.n_radial
    rng = generator(seed, "features")
    plain = Basis(
        cutoff=settings.cutoff,
        numbers=numbers,
        centres=np.linspace(1.0, settings.cutoff, settings.n_radial),
        scale=np.ones(n_density),
        weights=rng.normal(0.0, 0.5 / np.sqrt(n_density), (n_density, settings.n_random)),
        phases=rng.uniform(0.0, 2.0 * np.pi, settings.n_random),
        repulsion=settings.repulsion,
    )
    if not frames:
        return plain
    rho = plain.densities(find_pairs(frames, settings.cutoff))
    scale = np.maximum(rho.std(axis=0), _MIN_SCALE * max(1.0, float(rho.max(initial=0.0))))
    return Basis(**(vars(plain) | {"scale": scale}))


def _solve(
    frames: Sequence[Frame],
    times: Array,
    baseline: ToyPotential,
    settings: ToySettings,
    prior: Array,
) -> Array:
    """The coefficients, (S, F), fitted to what is left after the ``baseline`` (E0s and core)."""
    size = prior.size
    gram, moment = np.zeros((size, size)), np.zeros(size)
    drawn = [(frame, count) for frame, count in zip(frames, times, strict=True) if count]
    for start in range(0, len(drawn), _BATCH):
        batch = drawn[start : start + _BATCH]
        design, target = _equations([frame for frame, _ in batch], baseline, settings)
        rows = np.repeat([count for _, count in batch], [len(block) for block in design])
        stacked = np.concatenate(design)
        weighted = stacked.T * rows
        gram += weighted @ stacked
        moment += weighted @ np.concatenate(target)
    penalty = settings.ridge * max(float(np.trace(gram)) / size, 1e-12)
    gram[np.diag_indices(size)] += penalty
    shift = np.linalg.solve(gram, moment + penalty * prior.ravel())
    return np.asarray(shift.reshape(prior.shape))


def _equations(
    frames: Sequence[Frame], baseline: ToyPotential, settings: ToySettings
) -> tuple[list[Array], list[Array]]:
    """Weighted rows (n, S F) and right-hand side (n,) of each frame's energy, forces and stress."""
    basis, pairs = baseline.basis, find_pairs(frames, baseline.cutoff)
    energy, forces, strain = _design(basis, pairs)
    size = energy[0].size
    designs, targets = [], []
    for row, (frame, base) in enumerate(zip(frames, baseline.predict(pairs), strict=True)):
        assert base.forces is not None
        labels, atoms = frame.labels, slice(*pairs.offsets[row : row + 2])
        rows: list[Array] = []
        right: list[Any] = []
        if labels.energy is not None and base.energy is not None:
            weight = settings.energy_weight / len(frame)
            rows.append(weight * energy[row].reshape(1, size))
            right.append([weight * (labels.energy - base.energy)])
        if labels.forces is not None:
            rows.append(settings.forces_weight * forces[atoms].reshape(-1, size))
            right.append(settings.forces_weight * (labels.forces - base.forces).ravel())
        if labels.stress is not None and base.stress is not None and frame.pbc.all():
            weight = settings.stress_weight
            rows.append(weight / pairs.volumes[row] * strain[row].reshape(-1, size))
            right.append(weight * (labels.stress - base.stress).ravel())
        designs.append(np.concatenate(rows))
        targets.append(np.concatenate(right))
    return designs, targets


def _design(basis: Basis, pairs: Any) -> tuple[Array, Array, Array]:
    """Energy (N, S, F), forces (A, 3, S, F), ∂E/∂ε (N, 3, 3, S, F) of unit coefficients."""
    species, rho = basis.species(pairs.numbers), basis.densities(pairs)
    n_species, n_features, n_frames = len(basis.numbers), basis.n_features, len(pairs.volumes)
    energy = np.zeros((n_frames, n_species, n_features))
    np.add.at(energy, (pairs.frame_of_atom, species), basis.features(rho))
    pulls = basis.pulls(rho, pairs)
    forces = np.zeros((len(rho), 3, n_species, n_features))
    strain = np.zeros((n_frames, 3, 3, n_species, n_features))
    for centre in range(n_species):
        mine = (species[pairs.i] == centre)[:, None]
        forces[:, :, centre], strain[..., centre, :] = derivatives(
            pairs, np.where(mine, pulls, 0.0)
        )
    return energy, forces, strain


def _rmse(model: ToyPotential, name: str, frames: Sequence[Frame]) -> dict[str, float]:
    """RMSE of energy (eV/atom) and forces (eV/Å) over labelled frames; empty without frames."""
    if not frames:
        return {}
    energies, forces = [], []
    for frame, predicted in zip(frames, model.predict(model.prepare(frames)), strict=True):
        if frame.labels.energy is not None and predicted.energy is not None:
            energies.append((predicted.energy - frame.labels.energy) / len(frame))
        if frame.labels.forces is not None and predicted.forces is not None:
            forces.append((predicted.forces - frame.labels.forces).ravel())
    return {
        f"{name}_energy": float(np.sqrt(np.mean(np.square(energies)))),
        f"{name}_forces": float(np.sqrt(np.mean(np.square(np.concatenate(forces))))),
    }


if __name__ == "__main__":
    ToyTrainer.run(Path.cwd())
