"""Alloys: other elements on the sites of the inputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Literal, Self

import numpy as np
from ase.data import atomic_masses, atomic_numbers
from numpy.typing import NDArray
from pydantic import Field, model_validator

from trainspot.augment.base import Strategy, from_seed, streams, title
from trainspot.common.elements import check_symbols
from trainspot.data.frames import Frame, Origin

_TRIES: Final = 20


class Alloy(Strategy):
    """Put the elements of an alloy on all sites at random, except sites of fixed elements.

    Without ``fractions``, each frame has random concentrations, drawn uniformly from the simplex.
    With ``fractions``, each frame has these concentrations as nearly as its number of sites allows.
    """

    kind: Literal["alloy"] = "alloy"
    alloy_species: tuple[str, ...] = Field(min_length=2, description="elements of the alloy")
    fixed_species: tuple[str, ...] = Field((), description="elements whose sites do not change")
    fractions: dict[str, float] | None = Field(
        None,
        description="concentration of each element of the alloy; they sum to 1; null: "
        "random in each frame",
    )
    copies: int = Field(10, ge=1, le=100_000, description="frames per input, all different")

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        check_symbols((*self.alloy_species, *self.fixed_species))
        if len(set(self.alloy_species)) < len(self.alloy_species):
            raise ValueError("an element of the alloy is named twice")
        both = sorted(set(self.alloy_species) & set(self.fixed_species))
        if both:
            raise ValueError(f"fixed_species names {both[0]}, which is an element of the alloy")
        if self.fractions is None:
            return self
        if set(self.fractions) != set(self.alloy_species):
            raise ValueError("fractions and alloy_species have different elements")
        values = list(self.fractions.values())
        if min(values) < 0 or abs(sum(values) - 1.0) > 1e-6:
            raise ValueError("fractions must not be negative and must sum to 1")
        return self

    @property
    def brings(self) -> tuple[str, ...]:
        """The elements of the alloy."""
        return self.alloy_species

    def generate(self, frames: Sequence[Frame], rng: np.random.Generator) -> Iterator[Frame]:
        """At most ``copies`` frames of each parent, all different from it and from one another."""
        fixed = [atomic_numbers[name] for name in self.fixed_species]
        for parent, seeds in streams(rng, frames, self.copies * _TRIES):
            sites = np.flatnonzero(~np.isin(parent.numbers, fixed))
            if not len(sites):
                self.note(f"every site of {title(parent)} is fixed")
                continue
            yield from self._copies(parent, sites, seeds)

    def _copies(
        self, parent: Frame, sites: NDArray[np.int64], seeds: Sequence[int]
    ) -> Iterator[Frame]:
        seen = {parent.numbers.tobytes()}
        for seed in seeds:
            if len(seen) > self.copies:
                return
            numbers, elements = parent.numbers.copy(), self._drawn(len(sites), from_seed(seed))
            numbers[sites] = elements
            if numbers.tobytes() in seen:
                continue
            seen.add(numbers.tobytes())
            counts = {
                name: int(np.sum(elements == atomic_numbers[name])) for name in self.alloy_species
            }
            origin = Origin(self.kind, parent.id, {"counts": counts}, seed)
            isotopes = {k: v.copy() for k, v in parent.arrays.items() if k == "masses"}
            for masses in isotopes.values():
                masses[sites] = atomic_masses[elements]  # fixed atoms keep theirs
            yield Frame.make(
                numbers, parent.positions, parent.cell, parent.pbc, origin=origin, arrays=isotopes
            )
        if len(seen) <= self.copies:
            self.note(f"only {len(seen) - 1} different alloys found for {title(parent)}")

    def _drawn(self, n_sites: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Atomic numbers on the sites, (n_sites,)."""
        if self.fractions is None:
            # Gaps between sorted uniform numbers are uniform on the simplex.
            cuts = np.sort(rng.random(len(self.alloy_species) - 1))
            shares = np.diff(np.concatenate([[0.0], cuts, [1.0]]))
        else:
            shares = np.array([self.fractions[name] for name in self.alloy_species])
        counts = np.floor(shares * n_sites).astype(np.int64)
        rest = shares * n_sites - counts
        largest = np.argsort(-rest, kind="stable")[: n_sites - int(counts.sum())]
        counts[largest] += 1
        listed = np.repeat([atomic_numbers[name] for name in self.alloy_species], counts)
        return np.asarray(rng.permutation(listed), dtype=np.int64)
