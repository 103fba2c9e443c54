"""Swaps: atoms of different elements exchange their places."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from trainspot.augment.base import Scope, Strategy, child, from_seed, streams, title
from trainspot.data.frames import Frame

_TRIES: Final = 20


class Swap(Strategy):
    """Exchange atoms of different elements in a share of the structures.

    The structures are those of the strategies before this one in the list, or the inputs if it is
    the first. No atom is exchanged twice, so no exchange is undone. The composition is unchanged.
    """

    scope: ClassVar[Scope] = Scope.MADE
    against_overlap: ClassVar[str] = "elements of very different size exchange badly"

    kind: Literal["swap"] = "swap"
    share: float = Field(
        0.2,
        gt=0,
        le=1,
        description="share of the structures with two or more elements that are used, at "
        "least one structure",
    )
    swaps: float = Field(
        0.2,
        gt=0,
        le=0.5,
        description="number of exchanges as a fraction of the number of atoms, at least "
        "one exchange",
    )
    copies: int = Field(1, ge=1, le=100_000, description="frames per used structure")

    def generate(self, frames: Sequence[Frame], rng: np.random.Generator) -> Iterator[Frame]:
        """At most ``copies`` frames of each chosen parent, all different."""
        # An exchange in a cell of two atoms gives the same dimer or crystal.
        able = [f for f in frames if len(f) > 2 and len(np.unique(f.numbers)) > 1]
        if len(able) < len(frames):
            left_out = f"{len(frames) - len(able)} of {len(frames)}"
            self.note(
                f"nothing to exchange in {left_out} structures: fewer than three atoms, or one "
                "element"
            )
        if not able:
            return
        number = max(1, int(self.share * len(able) + 0.5))
        chosen = sorted(rng.choice(len(able), number, replace=False).tolist())
        for parent, seeds in streams(rng, [able[row] for row in chosen], self.copies * _TRIES):
            yield from self._copies(parent, seeds)

    def _copies(self, parent: Frame, seeds: Sequence[int]) -> Iterator[Frame]:
        seen: set[bytes] = set()
        for seed in seeds:
            if len(seen) == self.copies:
                return
            sites, pairs = self._exchanged(parent.numbers, from_seed(seed))
            arrangement = parent.numbers[sites].tobytes()
            if arrangement in seen:
                continue
            seen.add(arrangement)
            yield child(
                parent,
                self.kind,
                positions=parent.positions,
                sites=sites,
                parameters={"exchanged": pairs},
                seed=seed,
            )
        if len(seen) < self.copies:
            self.note(f"only {len(seen)} different exchanges found in {title(parent)}")

    def _exchanged(
        self, numbers: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], list[list[int]]]:
        """The atom at each site after the exchange, (n,), and the exchanged pairs."""
        sites = np.arange(len(numbers))
        free = np.ones(len(numbers), dtype=np.bool_)
        pairs: list[list[int]] = []
        for _ in range(max(1, int(self.swaps * len(numbers) + 0.5))):
            # Without a second element among the remaining atoms there is no partner.
            left = np.flatnonzero(free)
            if len(np.unique(numbers[left])) < 2:
                break
            first = int(rng.choice(left))
            second = int(rng.choice(left[numbers[left] != numbers[first]]))
            sites[[first, second]] = sites[[second, first]]
            free[[first, second]] = False
            pairs.append(sorted((first, second)))
        return sites, pairs
