"""Rattle: random displacements, combined with strain and vacancies in one frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from trainspot.augment import strain as strains
from trainspot.augment import vacancies as holes
from trainspot.augment.base import Strategy, child, from_seed, streams, title
from trainspot.data.frames import Frame
from trainspot.data.isolated import is_isolated_atom
from trainspot.data.lattice import deform, lengths
from trainspot.geometry import (
    Pairs,
    contact_limits,
    contact_reach,
    nearest_distances,
    nearest_of,
    pairs_within,
)

Floats = NDArray[np.float64]

_ROUNDS: Final = 50


class Rattle(Strategy):
    """Displace every atom by up to a fraction of the distance to its nearest neighbour.

    The direction is uniform on the sphere. The length is uniform in [0, fraction * d], where d is
    the distance of this atom to its nearest neighbour in the strained structure, its own periodic
    images included. If two atoms overlap, the displacements of both are drawn again. In a cell of
    hundreds of atoms some pair nearly always overlaps, so without this few compressed frames would
    pass the screen.
    """

    against_overlap: ClassVar[str] = "try a smaller fraction, or less compression"

    kind: Literal["rattle"] = "rattle"
    copies: int = Field(50, ge=1, le=100_000, description="frames per input")
    fraction: float = Field(
        0.3,
        gt=0,
        le=1,
        description="largest displacement of an atom, as a fraction of the distance to its "
        "nearest neighbour",
    )
    strain: strains.Deformation | None = Field(
        default_factory=strains.Deformation, description="random strain of each frame; null: none"
    )
    vacancies: holes.Removal | None = Field(
        default_factory=holes.Removal, description="vacancies in a share of the frames; null: none"
    )

    def generate(self, frames: Sequence[Frame], rng: np.random.Generator) -> Iterator[Frame]:
        """``copies`` frames of every parent; those with vacancies have strategy ``vacancies``."""
        if self.strain is not None:
            self.note_molecules(frames, "strained")
        for parent, seeds in streams(rng, frames, self.copies + 1):
            if is_isolated_atom(parent) or not np.all(np.isfinite(nearest_distances(parent))):
                self.note(f"{title(parent)} has no neighbours, so it is not rattled")
                continue
            shells = self._shells(parent)
            with_holes = self._with_holes(parent, from_seed(seeds[-1]))
            for seed, has_holes in zip(seeds, with_holes, strict=False):
                yield self._copy(parent, shells, seed, has_holes)

    def _with_holes(self, parent: Frame, rng: np.random.Generator) -> list[bool]:
        if self.vacancies is None:
            return [False] * self.copies
        if not holes.possible(parent, self.vacancies.count):
            self.note(f"no vacancies: fewer than {holes.MIN_LEFT} atoms remain in {title(parent)}")
            return [False] * self.copies
        chosen: list[bool] = self.vacancies.chosen(self.copies, rng).tolist()
        return chosen

    def _shells(self, parent: Frame) -> _Shells:
        """The pairs of the parent that can matter in any copy, found once for all of them."""
        low, high = self.strain.bounds(parent) if self.strain else (1.0, 1.0)
        farthest = float(nearest_distances(parent).max()) * high
        contact = contact_reach(parent.numbers)
        reach = max(farthest, contact + 2 * self.fraction * farthest) / low
        pairs = pairs_within(parent, reach * (1 + 1e-9))
        return _Shells(pairs, contact_limits(parent.numbers, pairs))

    def _copy(self, parent: Frame, shells: _Shells, seed: int, has_holes: bool) -> Frame:
        rng = from_seed(seed)
        parameters: dict[str, Any] = {"fraction": self.fraction}
        matrix = np.eye(3)
        if self.strain is not None and strains.applies(parent):
            matrix, strained = self.strain.draw(parent, rng)
            parameters |= strained
        shifts, again = self._displacements(shells, matrix, len(parent), rng)
        if again:
            parameters["drawn_again"] = again
        positions = deform(parent.positions, matrix) + shifts
        stay = None
        if has_holes and self.vacancies is not None:
            stay, parameters["removed"] = holes.sites_left(len(parent), self.vacancies.count, rng)
            positions = positions[stay]
        return child(
            parent,
            "vacancies" if has_holes else self.kind,
            positions=positions,
            cell=deform(parent.cell, matrix),
            sites=stay,
            parameters=parameters,
            seed=seed,
        )

    def _displacements(
        self, shells: _Shells, matrix: Floats, n_atoms: int, rng: np.random.Generator
    ) -> tuple[Floats, int]:
        """Displacements (n, 3) in Å, and how many were drawn again because of an overlap."""
        first, second, vectors, _ = shells.pairs
        vectors = deform(vectors, matrix)
        distances = lengths(vectors)
        longest = self.fraction * nearest_of(Pairs(first, second, vectors, distances), n_atoms)
        shifts = _in_balls(longest, rng)
        again = 0
        if np.any(distances < shells.limits):  # the strain alone is too much: no draw can help
            return shifts, again
        for _ in range(_ROUNDS):
            short = lengths(vectors + shifts[second] - shifts[first]) < shells.limits
            if not short.any():
                break
            atoms = np.unique(np.concatenate([first[short], second[short]]))
            shifts[atoms] = _in_balls(longest[atoms], rng)
            again += len(atoms)
        return shifts, again


class _Shells(NamedTuple):
    """Pairs of a parent, and the distance below which each would overlap."""

    pairs: Pairs
    limits: Floats


def _in_balls(longest: Floats, rng: np.random.Generator) -> Floats:
    """Vectors of uniform direction, and of length uniform in [0, longest], (n, 3).

    Normalised Gaussians: no sines or cosines, whose last digit depends on the machine.
    """
    directions = rng.standard_normal((len(longest), 3))
    scale = rng.random(len(longest)) * longest / lengths(directions)
    result: Floats = directions * scale[:, None]
    return result
