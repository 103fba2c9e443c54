"""Clusters: a few atoms of the input's elements, grown at random, alone in vacuum."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Final, Literal

import numpy as np
from ase.data import covalent_radii
from numpy.typing import NDArray
from pydantic import Field

from trainspot.augment.base import Scope, Strategy, from_seed, streams, title
from trainspot.data.frames import Frame, Origin
from trainspot.data.lattice import lengths

OUTER: Final = float(np.sqrt(3.0))
"""Outer radius of the shell for the next atom, in units of the inner radius."""

_TRIES: Final = 10_000


class Cluster(Strategy):
    """Grow clusters atom by atom.

    The elements are drawn from the atoms of the input. Each new atom is placed at random in the
    shell [d, √3 d] around a random atom of the cluster, uniformly in the volume of the shell, and
    no closer than d to any other atom. With ``auto``, d is the sum of the covalent radii of the two
    atoms. With a fixed distance below this sum, clusters may overlap and are then refused. The
    augmentation adds the vacuum around the cluster, see ``geometry.with_vacuum``.
    """

    scope: ClassVar[Scope] = Scope.INPUTS
    against_overlap: ClassVar[str] = "try distance: auto"

    kind: Literal["cluster"] = "cluster"
    copies: int = Field(20, ge=1, le=100_000, description="clusters per input")
    max_atoms: int = Field(
        10, ge=2, le=200, description="largest number of atoms in a cluster; the smallest is 2"
    )
    distance: Literal["auto"] | Annotated[float, Field(gt=0.2, le=10.0)] = Field(
        1.5,
        description="shortest distance between two atoms, Å; auto: the sum of their covalent radii",
    )

    def generate(self, frames: Sequence[Frame], rng: np.random.Generator) -> Iterator[Frame]:
        """``copies`` clusters for each parent."""
        for parent, seeds in streams(rng, frames, self.copies):
            for seed in seeds:
                cluster = self._cluster(parent, seed)
                if cluster is None:
                    self.note(f"no room for another atom in a cluster of {title(parent)}")
                else:
                    yield cluster

    def _cluster(self, parent: Frame, seed: int) -> Frame | None:
        rng = from_seed(seed)
        size = int(rng.integers(2, self.max_atoms + 1))
        sites = rng.choice(len(parent), size)
        numbers = parent.numbers[sites]
        shortest = np.full((size, size), 0.0 if self.distance == "auto" else self.distance)
        if self.distance == "auto":
            radii = covalent_radii[numbers]
            shortest = radii[:, None] + radii
        positions = _grown(shortest, rng)
        if positions is None:
            return None
        origin = Origin(self.kind, parent.id, {"distance": self.distance}, seed)
        isotopes = {k: v[sites] for k, v in parent.arrays.items() if k == "masses"}
        return Frame.make(numbers, positions, origin=origin, arrays=isotopes)


def _grown(shortest: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64] | None:
    """Positions of a cluster (n, 3) with these shortest distances (n, n); ``None``: no room."""
    placed = np.zeros((len(shortest), 3))
    for new in range(1, len(shortest)):
        for _ in range(_TRIES):
            anchor = int(rng.integers(new))
            inner = shortest[anchor, new]
            # A point of the cube around the shell: roots and angles would depend on the machine.
            step = rng.uniform(-1.0, 1.0, 3) * (OUTER * inner)
            if not inner <= lengths(step[None])[0] <= OUTER * inner:
                continue
            place = placed[anchor] + step
            if np.all(lengths(placed[:new] - place) >= shortest[:new, new]):
                placed[new] = place
                break
        else:
            return None
    return placed
