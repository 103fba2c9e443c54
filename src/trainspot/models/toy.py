"""The toy potential: pair densities, random cosine features, a soft core; analytic derivatives.

An atom's environment is its radial density in each element,

    rho_i,ek = Σ_{j of element e} g_k(r_ij),   g_k(r) = exp(-η (r - c_k)²) (1 - (r/r_c)²)³,

and its energy is linear in features that vanish for a lonely atom,

    E_i = E0(z_i) + w_{z_i} · [rho_i / s,  cos(W rho_i / s + b) - cos(b)],

plus a repulsion A (1 - r/r_0)⁴ r_0/r between atoms closer than r_0, so that molecular dynamics
does not collapse. Features do not depend on angles: this is for tests, not for research.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import numpy as np
from ase.data import covalent_radii
from scipy.sparse import csr_array
from vesin import NeighborList

from trainspot.common.archives import is_whole
from trainspot.common.elements import check_known
from trainspot.common.errors import DataError
from trainspot.data.frames import Labels
from trainspot.models.potential import Potential

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from trainspot.data.frames import Frame

    Array = NDArray[np.float64]

FORMAT: Final = "trainspot-toy"
FORMAT_VERSION: Final = 1
_HEADER: Final = "header.npy"
_MIN_DISTANCE: Final = 1e-3  # Å
_FEW: Final = 9  # columns


@dataclass(frozen=True)
class Pairs:
    """Neighbour lists of one or more frames; every pair appears in both directions.

    Attributes:
        numbers: Atomic numbers of all atoms, (A,).
        offsets: First atom of each frame, and the number of atoms, (N + 1,).
        i, j: Atoms of a pair, (P,).
        vectors: From i to j, Å, (P, 3).
        volumes: Å³, (N,); 0 for a frame without stress.
    """

    numbers: NDArray[np.int64]
    offsets: NDArray[np.int64]
    i: NDArray[np.int64]
    j: NDArray[np.int64]
    vectors: Array
    volumes: Array

    @cached_property
    def distances(self) -> Array:
        """Å, (P,); never zero, so that atoms on top of each other repel and do not crash."""
        return np.asarray(np.maximum(np.linalg.norm(self.vectors, axis=1), _MIN_DISTANCE))

    @cached_property
    def frame_of_atom(self) -> NDArray[np.int64]:
        """Frame of each atom, (A,)."""
        return np.repeat(np.arange(len(self.volumes)), np.diff(self.offsets))


def find_pairs(frames: Sequence[Frame], cutoff: float) -> Pairs:
    """Neighbour lists of frames, one after the other."""
    finder = NeighborList(cutoff=cutoff, full_list=True, sorted=True)
    sizes = [len(frame) for frame in frames]
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    rows: list[tuple[Any, Any, Any]] = []
    for frame, start in zip(frames, offsets[:-1], strict=True):
        i, j, vectors = finder.compute(frame.positions, frame.cell, frame.pbc, "ijD")
        rows.append((i.astype(np.int64) + start, j.astype(np.int64) + start, vectors))
    volumes = [abs(np.linalg.det(f.cell)) if f.pbc.any() else 0.0 for f in frames]
    return Pairs(
        np.concatenate([frame.numbers for frame in frames]),
        offsets,
        np.concatenate([row[0] for row in rows]),
        np.concatenate([row[1] for row in rows]),
        np.concatenate([np.reshape(row[2], (-1, 3)) for row in rows]),
        np.array(volumes),
    )


@dataclass(frozen=True)
class Basis:
    """Radial functions and random features of one member.

    Attributes:
        cutoff: r_c, Å.
        numbers: Elements, sorted; S of them.
        centres: c_k, Å, (K,).
        scale: s, (S K,).
        weights: W, (S K, M).
        phases: b, (M,).
        repulsion: A, eV.
    """

    cutoff: float
    numbers: tuple[int, ...]
    centres: Array
    scale: Array
    weights: Array
    phases: Array
    repulsion: float

    @property
    def n_features(self) -> int:
        """Features of an atom, S K + M."""
        return len(self.scale) + len(self.phases)

    def species(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Index of each atom's element.

        Raises:
            InputError: An element that the model lacks.
        """
        indices = np.searchsorted(self.numbers, numbers)
        elements = np.asarray(self.numbers)[np.minimum(indices, len(self.numbers) - 1)]
        if np.any(elements != numbers):
            check_known(np.unique(numbers), self.numbers)
        return indices

    def radial(self, distances: Array) -> tuple[Array, Array]:
        """g_k and its derivative (1/Å), each (P, K)."""
        step = self.centres[1] - self.centres[0]
        offset = distances[:, None] - self.centres
        gauss = np.exp(-0.5 * (offset / step) ** 2)
        inside = np.clip(1.0 - (distances / self.cutoff) ** 2, 0.0, None)[:, None]
        slope = -6.0 * distances[:, None] / self.cutoff**2 * inside**2
        return gauss * inside**3, gauss * (slope - offset / step**2 * inside**3)

    def densities(self, pairs: Pairs, values: Array | None = None) -> Array:
        """Radial density around every atom in every element, (A, S K); ``values``: g_k, (P, K)."""
        if values is None:
            values, _ = self.radial(pairs.distances)
        rho = np.zeros((len(pairs.numbers), len(self.numbers), len(self.centres)))
        np.add.at(rho, (pairs.i, self.species(pairs.numbers)[pairs.j]), values)
        return rho.reshape(len(pairs.numbers), -1)

    def features(self, rho: Array) -> Array:
        """Features of every atom, (A, F)."""
        x = rho / self.scale
        waves = np.cos(x @ self.weights + self.phases) - np.cos(self.phases)
        return np.concatenate([x, waves], axis=1)

    def gradients(self, rho: Array, coefficients: Array) -> Array:
        """∂(coefficients · features)/∂rho of every atom, (A, S K); coefficients (A, F)."""
        width = len(self.scale)
        sines = np.sin(rho / self.scale @ self.weights + self.phases)
        waves = (sines * coefficients[:, width:]) @ self.weights.T
        return np.asarray((coefficients[:, :width] - waves) / self.scale)

    def pulls(self, rho: Array, pairs: Pairs) -> Array:
        """∂(features of atom i)/∂r of each directed pair, 1/Å, (P, F)."""
        _, slopes = self.radial(pairs.distances)
        gradients = np.zeros((len(slopes), self.n_features))
        sines = np.sin(rho / self.scale @ self.weights + self.phases)
        neighbour, width = self.species(pairs.numbers)[pairs.j], len(self.centres)
        for element in range(len(self.numbers)):
            rows, block = neighbour == element, slice(element * width, (element + 1) * width)
            steep = slopes[rows] / self.scale[block]
            gradients[rows, block] = steep
            gradients[rows, len(self.scale) :] = -sines[pairs.i[rows]] * (
                steep @ self.weights[block]
            )
        return gradients

    def core(self, pairs: Pairs) -> tuple[Array, Array]:
        """Half the repulsion of each directed pair (eV) and its derivative (eV/Å), (P,)."""
        distances = pairs.distances
        radii = covalent_radii[pairs.numbers]
        reach = 0.85 * (radii[pairs.i] + radii[pairs.j])
        inside = np.clip(1.0 - distances / reach, 0.0, None)
        energy = 0.5 * self.repulsion * inside**4 * reach / distances
        slope = -2.0 * self.repulsion * inside**3 / distances - energy / distances
        return energy, slope


def derivatives(pairs: Pairs, slopes: Array) -> tuple[Array, Array]:
    """Forces and strain derivatives of a sum of pair terms.

    Args:
        pairs: The pairs.
        slopes: ∂E/∂r of each directed pair, (P,) or (P, F).

    Returns:
        Forces, (A, 3) or (A, 3, F), and ∂E/∂ε (eV, not divided by the volume), (N, 3, 3[, F]).
    """
    tail = slopes.shape[1:]
    n_atoms, n_frames = len(pairs.numbers), len(pairs.volumes)
    units = pairs.vectors / pairs.distances[:, None]
    pulls = np.einsum("p...,px->px...", slopes, units)
    forces = _summed(pairs.i, pulls, n_atoms) - _summed(pairs.j, pulls, n_atoms)
    strain = np.zeros((n_frames, 3, 3, *tail))
    columns = pulls.reshape(len(pulls), 3 * int(np.prod(tail)))
    ends = np.searchsorted(pairs.i, pairs.offsets)  # pairs are sorted by their first atom
    for frame, (start, stop) in enumerate(pairwise(ends.tolist())):
        moments = pairs.vectors[start:stop].T @ columns[start:stop]
        strain[frame] = np.swapaxes(moments.reshape(3, 3, *tail), 0, 1)
    return forces.reshape(n_atoms, 3, *tail), strain


def _summed(rows: NDArray[np.int64], values: Array, size: int) -> Array:
    """Sums of the values, (P, …), that belong to each row, (size, …)."""
    if values[:1].size <= _FEW:
        totals = np.zeros((size, *values.shape[1:]))
        np.add.at(totals, rows, values)
        return totals
    # With many columns a sparse product is several times faster.
    sums = csr_array((np.ones(len(rows)), (rows, np.arange(len(rows)))), (size, len(rows)))
    return np.asarray(sums @ values.reshape(len(rows), -1))


class ToyPotential(Potential):
    """A trained toy member; see ``trainspot.models.potential.Potential``.

    Args:
        basis: Its functions.
        coefficients: w, (S, F), eV.
        e0s: Energy of the isolated atom of each element, (S,), eV.
    """

    kind: ClassVar[str] = "toy"

    def __init__(self, basis: Basis, coefficients: Array, e0s: Array) -> None:
        """Keep the parameters; use ``load`` to read them from a file."""
        self.basis = basis
        self.coefficients = coefficients
        self.e0s = e0s
        self.cutoff = basis.cutoff
        self.numbers = basis.numbers
        self.graph_key: Hashable = (self.kind, basis.cutoff)

    # ── files ─────────────────────────────────────────────────────────────────
    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether the file is an archive with our header."""
        if not is_whole(path):
            return False
        with zipfile.ZipFile(path) as archive:
            return _HEADER in archive.namelist()

    @classmethod
    def load(cls, path: Path, *, dtype: str = "float64", device: str = "cpu") -> Self:  # noqa: ARG003  (numpy computes in float64 on the CPU)
        """Read a model file.

        Raises:
            DataError: Not a toy model, or damaged.
        """
        try:
            with path.open("rb") as handle, np.load(handle, allow_pickle=False) as arrays:
                header = json.loads(str(arrays["header"]))
                names = ("centres", "scale", "weights", "phases", "coefficients", "e0s")
                values = {name: np.asarray(arrays[name], dtype=np.float64) for name in names}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise DataError("not a toy model, or damaged", where=str(path)) from error
        if header.get("format") != FORMAT or header.get("format_version", 0) > FORMAT_VERSION:
            raise DataError("not a toy model, or written by a newer trainspot", where=str(path))
        coefficients, e0s = values.pop("coefficients"), values.pop("e0s")
        basis = Basis(
            cutoff=float(header["cutoff"]),
            numbers=tuple(header["numbers"]),
            repulsion=float(header["repulsion"]),
            **values,
        )
        return cls(basis, coefficients, e0s)

    def save(self, path: Path) -> None:
        """Write the model; equal models make equal bytes."""
        header = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "cutoff": self.cutoff,
            "numbers": list(self.numbers),
            "repulsion": self.basis.repulsion,
        }
        with path.open("wb") as handle:  # a handle, because savez adds .npz to a name
            np.savez(
                handle,
                header=np.array(json.dumps(header, sort_keys=True)),
                centres=self.basis.centres,
                scale=self.basis.scale,
                weights=self.basis.weights,
                phases=self.basis.phases,
                coefficients=self.coefficients,
                e0s=self.e0s,
            )

    # ── predictions ───────────────────────────────────────────────────────────
    def prepare(self, frames: Sequence[Frame]) -> Pairs:
        """Neighbour lists, the same for every member with this cutoff."""
        return find_pairs(frames, self.cutoff)

    def predict(self, prepared: Pairs) -> list[Labels]:
        """Energy (eV), forces (eV/Å), stress (eV/Å³; where a direction is periodic)."""
        pairs, basis = prepared, self.basis
        species = basis.species(pairs.numbers)
        values, slopes = basis.radial(pairs.distances)
        rho = basis.densities(pairs, values)
        weights = self.coefficients[species]
        atomic = self.e0s[species] + np.sum(basis.features(rho) * weights, axis=1)
        pull = basis.gradients(rho, weights)
        channels = pull.reshape(len(rho), len(self.numbers), -1)[pairs.i, species[pairs.j]]
        core, core_slope = basis.core(pairs)
        np.add.at(atomic, pairs.i, core)
        forces, strain = derivatives(pairs, np.sum(channels * slopes, axis=1) + core_slope)
        energies = np.zeros(len(pairs.volumes))
        np.add.at(energies, pairs.frame_of_atom, atomic)
        return [
            Labels(
                float(energy),
                forces[start:stop],
                strain[row] / volume if (volume := pairs.volumes[row]) > 0 else None,
            )
            for row, (energy, start, stop) in enumerate(
                zip(energies, pairs.offsets[:-1], pairs.offsets[1:], strict=True)
            )
        ]
