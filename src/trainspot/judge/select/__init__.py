"""Selection: which of the flagged frames are labelled when there are more than the budget.

A strategy (entry-point group ``trainspot.selection``) gets the candidates and the budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from trainspot.common import plugins
from trainspot.data.dataset import Dataset
from trainspot.predictions.statistics import Array

GROUP: Final = "trainspot.selection"


@dataclass(frozen=True, eq=False)
class Judged:
    """Frames a strategy may choose from.

    Attributes:
        frames: The candidates, sorted by id, so that a choice does not depend on their order.
        score: How far each is beyond its threshold, max of Δ/τ over properties and of the novelty
            over its threshold, (n,).
        descriptors: Of the candidates, (n, D); there if the strategy ``needs_descriptors``, else
            perhaps.
        known: Of the frames that are labelled or will be, (m, D), m ≥ 0; there with
            ``descriptors``.
    """

    frames: Dataset
    score: Array
    descriptors: Array | None = None
    known: Array | None = None


class Selection(Protocol):
    """A selection strategy.

    A class with ``needs_descriptors = True`` is given descriptors; without it they may be absent.
    """

    def select(self, judged: Judged, budget: int, rng: np.random.Generator) -> list[str]:
        """At most ``budget`` different ids of the candidates."""


def strategy(method: str) -> Selection:
    """The strategy of this name.

    Raises:
        UnknownNameError: There is none.
    """
    found: Selection = plugins.load(GROUP, method)()
    return found


def needs_descriptors(selection: Selection) -> bool:
    """Whether a strategy asks for descriptors."""
    return bool(getattr(selection, "needs_descriptors", False))


def draw(ids: Sequence[str], number: int, rng: np.random.Generator) -> list[str]:
    """Up to ``number`` ids drawn uniformly without replacement, sorted.

    The draw depends on which ids there are, not on their order.
    """
    pool = sorted(set(ids))
    rows = rng.choice(len(pool), size=min(number, len(pool)), replace=False) if pool else ()
    return sorted(pool[row] for row in rows)
