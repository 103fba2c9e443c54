"""Selection of the frames to label when more frames are flagged than the budget allows.

A strategy (entry-point group ``trainspot.selection``) gets the candidates and the budget.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from trainspot.common import plugins
from trainspot.common.contracts import Contract
from trainspot.data.dataset import Dataset
from trainspot.predictions.statistics import Array

GROUP: Final = "trainspot.selection"


@dataclass(frozen=True, eq=False)
class Judged:
    """The frames among which a strategy chooses.

    Attributes:
        frames: The candidates, sorted by id, so that a choice does not depend on their order.
        score: Largest threshold ratio of each candidate, over the properties (Δ/τ) and novelty,
            (n,).
        descriptors: Descriptors of the candidates, (n, D); always given to a strategy that
            ``needs_descriptors``.
        known: Descriptors of the frames that are or will be labelled, (m, D), m ≥ 0; given with
            ``descriptors``.
    """

    frames: Dataset
    score: Array
    descriptors: Array | None = None
    known: Array | None = None


class Selection(Contract, abstract=True):
    """Base class of the selection strategies.

    Attributes:
        needs_descriptors: Whether the strategy needs descriptors; else they may be absent.
    """

    needs_descriptors: ClassVar[bool] = False

    @abstractmethod
    def select(self, judged: Judged, budget: int, rng: np.random.Generator) -> list[str]:
        """At most ``budget`` different ids of the candidates."""


def strategy(method: str) -> Selection:
    """The strategy of this name.

    Raises:
        UnknownNameError: No such strategy.
    """
    return Selection.implementation(plugins.load(GROUP, method))()


def needs_descriptors(selection: Selection) -> bool:
    """Whether a strategy asks for descriptors."""
    return selection.needs_descriptors


def draw(ids: Sequence[str], number: int, rng: np.random.Generator) -> list[str]:
    """Up to ``number`` ids drawn uniformly without replacement, sorted.

    The draw does not depend on the order of the ids.
    """
    pool = sorted(set(ids))
    rows = rng.choice(len(pool), size=min(number, len(pool)), replace=False) if pool else ()
    return sorted(pool[row] for row in rows)
