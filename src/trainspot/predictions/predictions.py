"""``Predictions``: the predictions of each member of a committee for each frame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import IO, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trainspot.common.errors import InputError, NonFiniteError
from trainspot.common.properties import PROPERTIES
from trainspot.data.dataset import Dataset
from trainspot.predictions import statistics as stats
from trainspot.predictions.statistics import Array


@dataclass(frozen=True, eq=False)
class Predictions:
    """Energies, forces and stresses of N frames with A atoms in all, by M members.

    Attributes:
        frame_id: Ids of the frames, (N,) ``S64``.
        offsets: First atom of each frame, and the number of atoms, (N+1,).
        energy: Total energies, (M, N), eV.
        forces: (M, A, 3), eV/Å.
        stress: (M, N, 3, 3), eV/Å³, sign of ASE; 0 where a frame has none.
        projector: (N, 3, 3), onto the periodic space of each frame: only the components of the
            stress inside this space count (``P s P``); 0 for a frame without stress.
        members: Names of the members.
        source: File of the frames, if they have one.
        digests: Of the model file of each member, see ``batch.digest``; empty if unknown.
    """

    frame_id: NDArray[np.bytes_]
    offsets: NDArray[np.int64]
    energy: Array
    forces: Array
    stress: Array
    projector: Array
    members: tuple[str, ...]
    source: str = ""
    digests: tuple[str, ...] = ()

    # ── what is there ─────────────────────────────────────────────────────────
    def __len__(self) -> int:
        """Number of frames."""
        return len(self.frame_id)

    @property
    def ids(self) -> list[str]:
        """Frame ids in order."""
        return [identity.decode() for identity in self.frame_id.tolist()]

    @property
    def committee(self) -> str:
        """A digest of the committee, independent of the order of members; empty if unknown."""
        return stats.fingerprint(self.digests) if len(self.digests) == len(self.members) else ""

    @property
    def n_atoms(self) -> NDArray[np.int64]:
        """Atoms in each frame, (N,)."""
        return np.diff(self.offsets)

    @property
    def has_stress(self) -> NDArray[np.bool_]:
        """Whether each frame has a stress component that counts, (N,)."""
        return stats.stress_dimension(self.projector) > 0

    @cached_property
    def is_finite(self) -> NDArray[np.bool_]:
        """Whether all numbers of all members are finite, for each frame, (N,)."""
        atoms = np.asarray(np.isfinite(self.forces).all(axis=(0, 2)), dtype=np.float64)
        return np.asarray(
            np.isfinite(self.energy).all(axis=0)
            & np.isfinite(self.stress).all(axis=(0, 2, 3))
            & (stats.ragged_mean(atoms, self.offsets) == 1.0)
        )

    def check_finite(self) -> None:
        """Refuse members without any finite prediction; the screen handles single frames.

        Raises:
            NonFiniteError: A member has no finite prediction.
        """
        for j, name in enumerate(self.members):
            if len(self) and not self.member(j).is_finite.any():
                raise NonFiniteError("no prediction is finite", where=name, hint="train it again")

    @cached_property
    def max_force(self) -> Array:
        """The largest force of the committee mean on any atom, (N,), eV/Å; NaN stays NaN."""
        norm = np.sqrt(np.square(self.forces.mean(axis=0)).sum(axis=-1))
        return stats.ragged_quantile(norm, self.offsets, 1.0)

    def force_of_any_member(self, row: int) -> Array:
        """The largest force of any member on each atom of a frame, (n,), eV/Å."""
        atoms = slice(*self.offsets[row : row + 2].tolist())
        norm: Array = np.sqrt(np.square(self.forces[:, atoms]).sum(axis=-1)).max(axis=0)
        return norm

    # ── selections ────────────────────────────────────────────────────────────
    def take(self, rows: ArrayLike) -> Self:
        """The given rows in the given order; a boolean mask selects."""
        chosen = np.asarray(rows)
        if chosen.dtype == np.bool_:
            chosen = np.flatnonzero(chosen)
        chosen = chosen.astype(np.int64)
        sizes = self.n_atoms[chosen]
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        atoms = np.arange(offsets[-1]) + np.repeat(self.offsets[chosen] - offsets[:-1], sizes)
        return replace(
            self,
            frame_id=self.frame_id[chosen],
            offsets=offsets,
            energy=self.energy[:, chosen],
            forces=self.forces[:, atoms],
            stress=self.stress[:, chosen],
            projector=self.projector[chosen],
        )

    def member(self, index: int) -> Self:
        """The predictions of one member alone."""
        return replace(
            self,
            energy=self.energy[index : index + 1],
            forces=self.forces[index : index + 1],
            stress=self.stress[index : index + 1],
            members=self.members[index : index + 1],
            digests=self.digests[index : index + 1],
        )

    def select(self, ids: Iterable[str]) -> Self:
        """The frames with these ids, in the order of the ids.

        Raises:
            InputError: A frame without predictions.
        """
        rows = {identity: row for row, identity in enumerate(self.ids)}
        try:
            return self.take([rows[identity] for identity in ids])
        except KeyError as error:
            raise InputError(
                "the predictions lack this frame",
                where=f"frame {error.args[0][:12]}",
                hint="evaluate the committee on these frames first",
            ) from None

    @classmethod
    def concatenate(cls, parts: Sequence[Predictions]) -> Predictions:
        """All frames of several predictions of one committee, in order.

        Raises:
            InputError: No predictions, or predictions of different members.
        """
        if not parts or any(part.members != parts[0].members for part in parts):
            raise InputError("only predictions of one committee can be concatenated")
        sizes = np.concatenate([part.n_atoms for part in parts])
        same = all(part.digests == parts[0].digests for part in parts)
        return replace(
            parts[0],
            digests=parts[0].digests if same else (),
            frame_id=np.concatenate([part.frame_id for part in parts]),
            offsets=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
            energy=np.concatenate([part.energy for part in parts], axis=1),
            forces=np.concatenate([part.forces for part in parts], axis=1),
            stress=np.concatenate([part.stress for part in parts], axis=1),
            projector=np.concatenate([part.projector for part in parts]),
        )

    # ── statistics ────────────────────────────────────────────────────────────
    def disagreement(self, ddof: int = 1) -> dict[str, Array]:
        """Disagreement Δ of each frame (formula: ``statistics``), (N,) each.

        ``energy`` is in eV/atom, ``forces`` in eV/Å with the 95th percentile ``forces_p95`` and
        the maximum ``forces_max`` over atoms, ``stress`` in eV/Å³. Never NaN: 0 for a frame
        without stress (see ``has_stress``), infinite if a member is not finite.

        Args:
            ddof: 1 for the sample variance over members, 0 for the population form.

        Raises:
            InputError: Fewer than two members.
        """
        if len(self.members) - ddof < 1:
            raise InputError(
                f"a committee of {len(self.members)} cannot disagree",
                hint="give at least two members",
            )
        good = self._finite()
        atoms = self.atom_disagreement(ddof)
        deltas = {
            "energy": np.sqrt(stats.variance(good.energy / self.n_atoms, ddof)),
            "forces": np.sqrt(stats.ragged_mean(atoms**2, self.offsets)),
            "forces_p95": stats.ragged_quantile(atoms, self.offsets, 0.95),
            "forces_max": stats.ragged_quantile(atoms, self.offsets, 1.0),
        }
        stress = stats.variance(stats.inside(good.stress, self.projector), ddof)
        dimension = stats.stress_dimension(self.projector)
        deltas["stress"] = stats.root_ratio(stress.sum(axis=(-2, -1)), dimension)
        return {name: np.where(self.is_finite, value, np.inf) for name, value in deltas.items()}

    def atom_disagreement(self, ddof: int = 1) -> Array:
        """Disagreement of the force on each atom, (A,), eV/Å: Δ over its three components.

        0 in frames with a member that is not finite.
        """
        per_atom: Array = np.sqrt(stats.variance(self._finite().forces, ddof).mean(axis=-1))
        return per_atom

    def errors(self, dataset: Dataset) -> dict[str, Array]:
        """Error e of the committee mean of each frame (formula: ``statistics``), (N,) each.

        0 without a reference (see ``referenced``), infinite if a member is not finite.

        Args:
            dataset: Labels of all the frames, in any order.
        """
        squares, counts = self.squares(dataset, mean=True)
        return {
            name: np.where(
                self.is_finite | (counts[name] == 0),
                stats.root_ratio(squares[name][0], counts[name]),
                np.inf,
            )
            for name in PROPERTIES
        }

    def referenced(self, dataset: Dataset) -> dict[str, NDArray[np.bool_]]:
        """Whether each frame has a reference label, for each property, (N,)."""
        frames = dataset.select(self.ids)
        return {
            "energy": frames.column("has_energy"),
            "forces": frames.column("has_forces"),
            "stress": frames.column("has_stress") & self.has_stress,
        }

    def member_rmse(self, dataset: Dataset) -> dict[str, Array]:
        """RMSE of each member over all labelled frames, (M,) for each property with labels.

        Energies are per atom, one for each frame; forces and stresses are over all components.
        """
        return RmseSum.of(self, dataset).rmse()

    def rmse(self, dataset: Dataset) -> dict[str, float]:
        """RMSE of the committee mean over all labelled frames, for each property with labels."""
        errors = RmseSum.of(self, dataset, mean=True).rmse()
        return {name: float(values[0]) for name, values in errors.items()}

    def squares(self, dataset: Dataset, *, mean: bool) -> tuple[dict[str, Array], dict[str, Array]]:
        """Σ_d (x - x_ref)², (M, N), and D, (N,), of each property; both 0 without a reference.

        Args:
            dataset: Labels of all the frames, in any order.
            mean: Whether to use the committee mean as a single member: (1, N).
        """
        values, frames = self._finite(), dataset.select(self.ids)
        has = self.referenced(dataset)

        def deviation(predicted: Array, reference: Array) -> Array:
            return (predicted.mean(axis=0, keepdims=True) if mean else predicted) - reference

        n_atoms = self.n_atoms.astype(np.float64)
        energy = deviation(values.energy, frames.column("energy")) / n_atoms
        forces = np.square(deviation(values.forces, frames.column("forces"))).sum(axis=-1)
        stress = stats.inside(deviation(values.stress, frames.column("stress")), self.projector)
        squares = {
            "energy": energy**2,
            "forces": np.stack([stats.ragged_mean(row, self.offsets) for row in forces]) * n_atoms,
            "stress": np.square(stress).sum(axis=(-2, -1)),
        }
        counts = {
            "energy": np.ones(len(self)),
            "forces": 3.0 * n_atoms,
            "stress": stats.stress_dimension(self.projector),
        }
        return (
            {name: np.where(has[name], squares[name], 0.0) for name in PROPERTIES},
            {name: np.where(has[name], counts[name], 0.0) for name in PROPERTIES},
        )

    # ── files ─────────────────────────────────────────────────────────────────
    def write(self, target: Path | str) -> None:
        """Write an HDF5 file, see ``predictions.files``."""
        from trainspot.predictions import files

        files.write(self, target)

    @staticmethod
    def read(source: Path | str | IO[bytes]) -> Predictions:
        """Read an HDF5 file; ``DataError`` for another or a damaged file."""
        from trainspot.predictions import files

        return files.read(source)

    def _finite(self) -> Self:
        """The same with 0 for values that are not finite, so that no statistic is NaN."""
        if self.is_finite.all():
            return self
        energy, forces, stress = (
            np.where(np.isfinite(values), values, 0.0)
            for values in (self.energy, self.forces, self.stress)
        )
        return replace(self, energy=energy, forces=forces, stress=stress)


@dataclass(frozen=True)
class RmseSum:
    """Σ (x - x_ref)² and the number of terms; sums of chunks give the RMSE of all frames.

    Attributes:
        squares: Of each property, (M,).
        counts: Of each property.
    """

    squares: dict[str, Array]
    counts: dict[str, float]

    @classmethod
    def of(cls, predictions: Predictions, dataset: Dataset, *, mean: bool = False) -> RmseSum:
        """The sums over the frames with finite predictions; other frames have no error.

        Args:
            predictions: Of M members.
            dataset: Labels of all the frames, in any order.
            mean: Whether to use the committee mean as a single member.
        """
        rows = predictions.is_finite
        squares, counts = predictions.squares(dataset, mean=mean)
        return cls(
            {name: squares[name][:, rows].sum(axis=-1) for name in PROPERTIES},
            {name: float(counts[name][rows].sum()) for name in PROPERTIES},
        )

    def __add__(self, other: RmseSum) -> RmseSum:
        """The sums of both."""
        return RmseSum(
            {name: self.squares[name] + other.squares[name] for name in PROPERTIES},
            {name: self.counts[name] + other.counts[name] for name in PROPERTIES},
        )

    def rmse(self) -> dict[str, Array]:
        """RMSE of each property with at least one term, (M,)."""
        return {
            name: np.sqrt(self.squares[name] / self.counts[name])
            for name in PROPERTIES
            if self.counts[name] > 0
        }
