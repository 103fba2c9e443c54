"""Thresholds of novelty: one distance for frames of each dimensionality."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trainspot.data.dataset import Dataset
from trainspot.predictions.statistics import Array

DIMENSIONS: Final = ("0D", "1D", "2D", "3D")
"""Names of the numbers of periodic directions: clusters, wires, slabs, crystals."""

_SMALLEST: Final = 1e-6  # distances below are rounding


def dimensions(frames: Dataset) -> NDArray[np.int64]:
    """The number of periodic directions of each frame, (N,); an index of ``DIMENSIONS``."""
    return np.asarray(frames.column("pbc").sum(axis=1), dtype=np.int64)


def frames_needed(share: float) -> int:
    """Smallest number of validation frames for this quantile."""
    return math.ceil(round(share / (1.0 - share), 9))


@dataclass(frozen=True)
class Novelty:
    """The distances beyond which frames are novel.

    Attributes:
        share: Share of the validation frames below the threshold; ``None``: the user switched
            novelty off.
        thresholds: For each of ``DIMENSIONS`` the descriptor distance to the nearest training
            frame beyond which a frame is novel; empty: no frame is flagged for novelty in this
            iteration.
        validation: Number of validation frames behind the thresholds.
        note: Reason in words why there are no thresholds, if the user asked for them.
    """

    share: float | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    validation: int = 0
    note: str = ""

    @classmethod
    def fit(
        cls, distances: Array, kinds: NDArray[np.int64], share: float, floor: float = 0.0
    ) -> Novelty:
        """Quantiles of the distances of the validation frames.

        The threshold of n validation frames is the ⌈(n+1)·share⌉-th smallest distance (the rank
        of conformal prediction). As long as explored frames resemble validation frames, at most
        1 - share of the explored frames are novel. Each frame is compared with frames of the same
        number of periodic directions, as in Mondrian conformal prediction (Vovk, Gammerman and
        Shafer, Algorithmic Learning in a Random World, 2005). If these frames are fewer than the
        rank, frames with one direction more or less count as well, and so on (decision 0032).

        Args:
            distances: Distance of each validation frame to the nearest training frame, (n,);
                infinite without training frames.
            kinds: ``dimensions`` of the validation frames, (n,).
            share: See ``Novelty``.
            floor: No threshold is smaller; see ``SelectSettings.near_duplicate``.
        """
        n = len(distances)
        if _rank(n, share) > n:
            need = frames_needed(share)
            note = f"no novelty flag: {n} validation frames, {need} are needed for {share:g}"
            return cls(share, {}, n, note)
        if not np.isfinite(distances).all():
            return cls(share, {}, n, "no novelty flag: there are no labelled training frames")
        least = max(floor, _SMALLEST)
        thresholds = {
            name: max(_like(distances, np.abs(kinds - k), share), least)
            for k, name in enumerate(DIMENSIONS)
        }
        return cls(share, thresholds, n)

    def of(self, frames: Dataset) -> Array:
        """The threshold of each frame, (N,); infinite without a threshold."""
        limits = [self.thresholds.get(name, np.inf) for name in DIMENSIONS]
        return np.asarray(np.array(limits)[dimensions(frames)])

    def to_dict(self) -> dict[str, Any]:
        """JSON values only."""
        return asdict(self)


def grouped(thresholds: Mapping[str, float]) -> list[tuple[float, list[str]]]:
    """Each different threshold and its dimensions; that of crystals comes first."""
    groups: dict[float, list[str]] = {}
    for name in sorted(thresholds, reverse=True):
        groups.setdefault(thresholds[name], []).append(name)
    return list(groups.items())


def _like(distances: Array, unlike: NDArray[np.int64], share: float) -> float:
    """The quantile of the distances of the most similar dimensions that are enough for it."""
    for most in range(len(DIMENSIONS)):
        chosen = np.sort(distances[unlike <= most])
        if (rank := _rank(len(chosen), share)) <= len(chosen):
            break
    return float(chosen[rank - 1])


def _rank(n: int, share: float) -> int:
    return math.ceil(round((n + 1) * share, 9))
