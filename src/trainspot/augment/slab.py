"""Slabs: a crystal cut along lattice planes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import ClassVar, Final, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from trainspot.augment.base import Scope, Strategy, child, title
from trainspot.augment.crystal import Crystal, Surface, crystal_of
from trainspot.augment.supercell import Supercell, repeated
from trainspot.data.frames import Frame, Origin
from trainspot.data.isolated import is_isolated_atom
from trainspot.data.lattice import deform, lengths, normals

Floats = NDArray[np.float64]
Miller = tuple[int, int, int]

_SLACK: Final = 1e-6
_AS_WIDE: Final = 1e-3  # Å; gaps that differ by less are equally wide
_ONE_PLANE: Final = 0.1  # Å; atoms closer than this along the normal belong to one plane


class Slab(Strategy):
    """Cut slabs with given Miller indices out of inputs that are periodic in all directions.

    The indices belong to the conventional cell of the input. A slab consists of whole repeat units,
    so it has the composition of the crystal. The cut is in the middle between two planes of atoms.
    The surface is in the xy plane and is repeated like a supercell.
    """

    scope: ClassVar[Scope] = Scope.INPUTS

    kind: Literal["slab"] = "slab"
    miller: tuple[Miller, ...] = Field(
        ((1, 1, 1), (1, 1, 0), (1, 0, 0)),
        min_length=1,
        description="Miller indices of the conventional cell; of indices that are "
        "equivalent by symmetry only the first is used",
    )
    thickness: float = Field(
        10.0,
        gt=0,
        le=1000,
        description="smallest distance between the lowest and the highest atom, Å",
    )
    min_length: float = Field(
        18.0,
        gt=0,
        le=1000,
        description="smallest distance between an atom and its periodic images in the "
        "surface, Å; smaller if max_atoms does not allow it",
    )
    max_atoms: int = Field(450, ge=1, le=100_000, description="largest number of atoms in a slab")
    terminations: Literal["widest", "all"] = Field(
        "widest",
        description="widest: cut only where the planes of atoms are farthest apart; all: "
        "one slab per cut that is different by symmetry",
    )
    symprec: float = Field(
        0.01, gt=0, le=1, description="tolerance of the symmetry search (spglib), Å"
    )

    @model_validator(mode="after")
    def _planes(self) -> Self:
        if any(not any(indices) for indices in self.miller):
            raise ValueError("miller indices 0 0 0 are no plane")
        if any(abs(index) > 50 for indices in self.miller for index in indices):
            raise ValueError("miller indices must lie between -50 and 50")
        return self

    def generate(self, frames: Sequence[Frame], rng: np.random.Generator) -> Iterator[Frame]:
        """One slab for each distinct cut of each crystal that ``max_atoms`` allows."""
        del rng
        for parent in frames:
            if not parent.pbc.all() or is_isolated_atom(parent):
                lacks = (
                    "an isolated atom" if parent.pbc.all() else "not periodic in three directions"
                )
                self.note(f"{title(parent)} is {lacks}")
                continue
            crystal = crystal_of(parent, self.symprec)
            if crystal is None:
                self.note(f"no symmetry found for {title(parent)} within {self.symprec} Å")
                continue
            for miller, surface in self._distinct(crystal):
                yield from self._slabs(crystal, miller, surface)

    def _distinct(self, crystal: Crystal) -> Iterator[tuple[Miller, Surface]]:
        """The surfaces that are not equivalent to an earlier one by symmetry."""
        met: dict[Miller, Surface] = {}
        for miller in self.miller:
            surface = crystal.surface(miller)
            same = [k for k, earlier in met.items() if crystal.equivalent(surface, earlier)]
            if same:
                planes, first = _written(miller), _written(same[0])
                self.note(f"{planes} of {title(crystal.frame)} is equivalent to {first}")
                continue
            met[miller] = surface
            yield miller, surface

    def _slabs(self, crystal: Crystal, miller: Miller, surface: Surface) -> Iterator[Frame]:
        for number, cut in enumerate(self._cuts(crystal, surface)):
            layers = max(1, math.ceil((self.thickness + cut.gap - _SLACK) / surface.spacing))
            if (atoms := layers * len(crystal.sites)) > self.max_atoms:
                self.note(
                    f"{_written(miller)} of {title(crystal.frame)}: at least {atoms} atoms for "
                    f"{self.thickness} Å, more than {self.max_atoms}"
                )
                continue
            thin = _cut_out(crystal, surface, cut, layers)
            matrix = Supercell(min_length=self.min_length, max_atoms=self.max_atoms).matrix(thin)
            parameters = {
                "miller": list(miller),
                "termination": number,
                "layers": layers,
                "vectors": (matrix[:2, :2] @ surface.coordinates[:2]).tolist(),
            }
            origin = Origin(self.kind, crystal.frame.id, parameters)
            yield repeated(thin, matrix).with_(origin=origin)

    def _cuts(self, crystal: Crystal, surface: Surface) -> list[_Cut]:
        """The cuts, the widest gap first."""
        gaps = _gaps(_levels(crystal, surface), surface.spacing)
        widest = max(cut.gap for cut in gaps)
        wide = [cut for cut in gaps if cut.gap >= widest - _AS_WIDE]
        if self.terminations == "widest":
            return wide[:1]
        rest = [cut for cut in gaps if _ONE_PLANE < cut.gap < widest - _AS_WIDE]
        same = crystal.same_levels(surface)
        chosen: list[_Cut] = []
        for cut in wide + rest:
            images = [sign * cut.level + shift for sign, shift in same]
            if not any(_meets(cut, earlier, images, surface.spacing) for earlier in chosen):
                chosen.append(cut)
        return chosen


class _Cut(NamedTuple):
    """A gap between planes of atoms: its middle in spacings of the surface, its width in Å."""

    level: float
    gap: float


def _written(miller: Miller) -> str:
    return f"({miller[0]} {miller[1]} {miller[2]})"


def _levels(crystal: Crystal, surface: Surface) -> Floats:
    """Height of each site of the crystal along the normal, in spacings, (n,)."""
    normal = normals(surface.vectors)[2]
    height = float((surface.vectors[2] * normal).sum())
    x, y, z = crystal.frame.positions[crystal.sites].T
    levels: Floats = (x * normal[0] + y * normal[1] + z * normal[2]) / height
    return levels


def _gaps(levels: Floats, spacing: float) -> list[_Cut]:
    """All gaps from the first site upwards."""
    ordered = np.sort((levels - levels[0]) % 1.0)
    widths = np.diff(ordered, append=ordered[0] + 1.0)
    middles = levels[0] + ordered + widths / 2
    return [_Cut(*pair) for pair in zip(middles.tolist(), (widths * spacing).tolist(), strict=True)]


def _meets(cut: _Cut, earlier: _Cut, images: Sequence[float], spacing: float) -> bool:
    """Whether a symmetry maps a cut, with these ``images``, onto an earlier one."""
    if abs(cut.gap - earlier.gap) > _ONE_PLANE:
        return False
    apart = [abs((image - earlier.level + 0.5) % 1.0 - 0.5) * spacing for image in images]
    return min(apart) < _ONE_PLANE / 2


def _cut_out(crystal: Crystal, surface: Surface, cut: _Cut, layers: int) -> Frame:
    """The slab with the smallest surface, turned so that its normal is z and a vector is x.

    It starts at the cut and has no cell vector along the normal: the caller adds vacuum.
    """
    first, second, up = surface.vectors
    below = np.floor(_levels(crystal, surface) - cut.level)
    rise = (np.arange(layers)[:, None] - below).reshape(-1, 1)
    positions = np.tile(crystal.frame.positions[crystal.sites], (layers, 1)) + rise * up
    normal = normals(surface.vectors)[2]
    x = first / lengths(first)
    z = normal / lengths(normal)
    y = np.array([z[1] * x[2] - z[2] * x[1], z[2] * x[0] - z[0] * x[2], z[0] * x[1] - z[1] * x[0]])
    turn = np.column_stack([x, y, z])
    cell = deform(np.array([first, second]), turn)
    cell = np.array([[cell[0, 0], 0.0, 0.0], [cell[1, 0], cell[1, 1], 0.0], [0.0, 0.0, 0.0]])
    positions = deform(positions, turn)
    positions[:, 2] -= positions[:, 2].min()
    along = np.floor(positions[:, 1] / cell[1, 1] + _SLACK)
    positions = positions - along[:, None] * cell[1]
    positions[:, 0] -= np.floor(positions[:, 0] / cell[0, 0] + _SLACK) * cell[0, 0]
    return child(
        crystal.frame,
        "slab",
        positions=positions,
        cell=cell,
        pbc=(True, True, False),
        sites=np.tile(crystal.sites, layers),
    )
