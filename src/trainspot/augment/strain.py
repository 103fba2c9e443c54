"""Strain: homogeneous deformation of the periodic directions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import product
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from trainspot.augment.base import Parameters, Strategy, child, from_seed, streams, title
from trainspot.data.frames import Frame
from trainspot.data.isolated import is_isolated_atom
from trainspot.data.lattice import deform, full_cell, lengths, periodic_projector

Matrix = NDArray[np.float64]


class Deformation(Parameters):
    """A random strain: its size and its form."""

    range: tuple[float, float] = Field(
        (-0.2, 0.6), description="smallest and largest relative change of length"
    )
    mode: Literal["isotropic", "axial", "full"] = Field(
        "isotropic",
        description="isotropic: one factor for all directions; axial: one factor per "
        "periodic cell vector, with fixed angles; full: three factors along random "
        "perpendicular directions, with shear",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        low, high = self.range
        if not -0.9 <= low <= high <= 10:
            raise ValueError("range must be two numbers in order, between -0.9 and 10")
        if low == high == 0:
            raise ValueError("range 0 to 0 changes nothing")
        return self

    def draw(self, frame: Frame, rng: np.random.Generator) -> tuple[Matrix, dict[str, Any]]:
        """A deformation F of row vectors (x → x F), and its parameters as JSON values.

        F leaves everything perpendicular to the periodic directions alone, so that vacuum keeps
        its size: F = 1 + P (S - 1) P with the projector P onto the periodic directions, where S
        is a stretch whose principal factors are uniform in 1 + range.
        """
        low, high = self.range
        if self.mode == "isotropic":
            change = float(rng.uniform(low, high))
            matrix = np.eye(3) + change * _projector(frame)
            return matrix, {"strain": change}
        changes = rng.uniform(low, high, 3)
        if self.mode == "axial":
            matrix = _along_vectors(frame, np.where(frame.pbc, changes, 0.0))
        else:
            axes = _random_axes(frame, rng)
            matrix = np.eye(3)
            for axis, change in zip(axes, changes.tolist(), strict=False):
                matrix = matrix + change * axis[:, None] * axis[None, :]
        return matrix, {"deformation": matrix.tolist()}

    def bounds(self, frame: Frame) -> tuple[float, float]:
        """The least and largest factor by which any draw can change any length."""
        low, high = 1 + self.range[0], 1 + self.range[1]
        if self.mode != "axial":
            return min(low, 1.0), max(high, 1.0)
        # Both extremes lie at corners: the largest singular value is convex in the factors, the
        # inverse of the least one is convex in their inverses.
        corners = [
            np.linalg.svd(_along_vectors(frame, np.where(frame.pbc, c, 0.0)), compute_uv=False)
            for c in product(self.range, repeat=3)
        ]
        return min(1.0, float(np.min(corners))), max(1.0, float(np.max(corners)))


def applies(frame: Frame) -> bool:
    """Whether a frame has a periodic direction, which can be strained."""
    return bool(frame.pbc.any()) and not is_isolated_atom(frame)


@lru_cache(maxsize=16)
def _projector(frame: Frame) -> Matrix:
    """``periodic_projector`` of a frame, which all its copies need."""
    return periodic_projector(frame.cell, frame.pbc)


def _along_vectors(frame: Frame, changes: Matrix) -> Matrix:
    """Scale each cell vector by 1 + change; directions outside the periodic space stay.

    Vectors b dual to the periodic ones a inside their space give F = 1 + sum of change b a.
    """
    periodic = _projector(frame)
    matrix = np.eye(3)
    whole = _straightened(frame, periodic)
    volume = float((whole[0] * np.cross(whole[1], whole[2])).sum())
    for axis in range(3):
        dual = np.cross(whole[axis - 2], whole[axis - 1]) / volume
        matrix = matrix + changes[axis] * dual[:, None] * whole[axis][None, :]
    return matrix


def _straightened(frame: Frame, projector: Matrix) -> Matrix:
    """The cell with its non-periodic vectors made perpendicular to the periodic space."""
    whole = full_cell(frame.cell, frame.pbc)
    upright = whole - deform(whole, projector)
    return np.where(frame.pbc[:, None], whole, upright)


def _random_axes(frame: Frame, rng: np.random.Generator) -> list[Matrix]:
    """Perpendicular unit vectors in the periodic space, uniformly oriented."""
    projector = _projector(frame)
    axes: list[Matrix] = []
    while len(axes) < int(frame.pbc.sum()):
        vector = deform(rng.standard_normal((1, 3)), projector)[0]
        for axis in axes:
            vector = vector - axis * (vector * axis).sum()
        if (length := float(lengths(vector))) > 1e-6:
            axes.append(vector / length)
    return axes


class Strain(Deformation, Strategy):
    """Strain structures homogeneously."""

    against_overlap: ClassVar[str] = "try less compression"

    kind: Literal["strain"] = "strain"
    copies: int = Field(10, ge=1, le=100_000, description="frames per input")

    def generate(self, frames: Sequence[Frame], rng: np.random.Generator) -> Iterator[Frame]:
        """``copies`` deformed frames of every parent that has a periodic direction."""
        for parent, seeds in streams(rng, frames, self.copies):
            if not applies(parent):
                self.note(f"{title(parent)} has no periodic direction")
                continue
            for seed in seeds:
                matrix, parameters = self.draw(parent, from_seed(seed))
                yield child(
                    parent,
                    self.kind,
                    positions=deform(parent.positions, matrix),
                    cell=deform(parent.cell, matrix),
                    parameters=parameters,
                    seed=seed,
                )
