"""Vacancies: atoms removed at random sites."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from trainspot.augment.base import Parameters, Strategy, child, from_seed, streams, title
from trainspot.data.frames import Frame

MIN_LEFT: Final = 3
"""Smallest number of atoms of a frame with vacancies."""

_COUNT = Field(2, ge=1, le=10_000, description="atoms removed from a frame")


class Removal(Parameters):
    """Vacancies in the frames of another strategy."""

    count: int = _COUNT
    share: float = Field(0.3, gt=0, le=1, description="share of the frames with vacancies")

    def chosen(self, copies: int, rng: np.random.Generator) -> NDArray[np.bool_]:
        """Which of the copies get vacancies, (copies,).

        ``share`` of them, rounded down; the fractional rest is the probability of one more.
        """
        number, rest = divmod(self.share * copies, 1)
        number += rng.random() < rest
        return np.asarray(rng.permutation(copies) < number, dtype=np.bool_)


def possible(frame: Frame, count: int) -> bool:
    """Whether enough atoms remain after ``count`` are removed."""
    return len(frame) - count >= MIN_LEFT


def sites_left(
    n_atoms: int, count: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], list[int]]:
    """Indices of the remaining atoms and, sorted, of the ``count`` removed ones."""
    gone = np.sort(rng.choice(n_atoms, count, replace=False))
    return np.delete(np.arange(n_atoms), gone), gone.tolist()


class Vacancies(Strategy):
    """Remove atoms at random sites from otherwise unchanged structures."""

    kind: Literal["vacancies"] = "vacancies"
    copies: int = Field(10, ge=1, le=100_000, description="frames per input, all different")
    count: int = _COUNT

    def generate(self, frames: Sequence[Frame], rng: np.random.Generator) -> Iterator[Frame]:
        """At most ``copies`` frames for each parent, all different."""
        for parent, seeds in streams(rng, frames, 1):
            if not possible(parent, self.count):
                self.note(f"fewer than {MIN_LEFT} atoms would remain in {title(parent)}")
                continue
            number = min(self.copies, math.comb(len(parent), self.count))
            if number < self.copies:
                self.note(f"{title(parent)} has only {number} different choices of vacancies")
            own, seen = from_seed(seeds[0]), set[tuple[int, ...]]()
            while len(seen) < number:
                seed = int(own.integers(2**63))
                stay, gone = sites_left(len(parent), self.count, from_seed(seed))
                if tuple(gone) not in seen:
                    seen.add(tuple(gone))
                    yield child(
                        parent,
                        self.kind,
                        positions=parent.positions[stay],
                        sites=stay,
                        parameters={"removed": gone},
                        seed=seed,
                    )
