"""Thresholds of novelty: distances for frames of each dimensionality, and the novel frames."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trainspot.data.dataset import Dataset
from trainspot.judge.decision import NOVELTY, NOVELTY_OF, Beyond
from trainspot.predictions.domain import DIMENSIONS, Farthest, dimensions, limits
from trainspot.predictions.statistics import Array

__all__ = ["DIMENSIONS", "Distances", "Novelty", "Remote", "dimensions", "frames_needed", "grouped"]

_SMALLEST: Final = 1e-6  # distances below are rounding


def frames_needed(share: float) -> int:
    """Smallest number of validation frames for this quantile."""
    return math.ceil(round(share / (1.0 - share), 9))


@dataclass(frozen=True, eq=False)
class Distances:
    """How far some frames are from the training frames.

    Attributes:
        frames: Descriptor distance to the nearest training frame, (N,); ``None``: not computed.
        atoms: Distance of the farthest atom of each frame to the training atoms; ``None``: not
            computed.
    """

    frames: Array | None = None
    atoms: Farthest | None = None

    def by_measure(self) -> dict[str, Array]:
        """The computed distances: ``frames`` and ``atoms``, (N,) each."""
        every = {"frames": self.frames, "atoms": self.atoms and self.atoms.distance}
        return {name: values for name, values in every.items() if values is not None}


@dataclass(frozen=True)
class Novelty:
    """The distances beyond which frames are novel.

    Attributes:
        share: Share of the validation frames below the threshold; ``None``: the user switched
            novelty off.
        thresholds: For each of ``DIMENSIONS`` the descriptor distance to the nearest training
            frame beyond which a frame is novel; empty: whole frames are not compared.
        validation: Number of validation frames behind the thresholds.
        note: Reason in words why there are no thresholds, if the user asked for them.
        atoms: For each of ``DIMENSIONS`` the distance to the nearest training atom of the same
            element beyond which an atom makes its frame novel; empty: atoms are not compared.
    """

    share: float | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    validation: int = 0
    note: str = ""
    atoms: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def fit(
        cls,
        distances: Array | Distances,
        kinds: NDArray[np.int64],
        share: float,
        floor: float = 0.0,
    ) -> Novelty:
        """Quantiles of the distances of the validation frames.

        The threshold of n validation frames is the ⌈(n+1)·share⌉-th smallest distance (the rank
        of conformal prediction). As long as explored frames resemble validation frames, at most
        1 - share of the explored frames are novel. Each frame is compared with frames of the same
        number of periodic directions, as in Mondrian conformal prediction (Vovk, Gammerman and
        Shafer, Algorithmic Learning in a Random World, 2005). If these frames are fewer than the
        rank, frames with one direction more or less count as well, and so on (decision 0032).

        With distances of frames and of atoms, the larger of the two ratios of distance to
        threshold is ranked once more, and both thresholds grow by the result. The share then holds
        for frames that are novel by either measure (decision 0067).

        Args:
            distances: Distances of the n validation frames; an array means distances of frames.
                Infinite distances, of elements without training atoms, are left out.
            kinds: ``dimensions`` of the validation frames, (n,).
            share: See ``Novelty``.
            floor: No threshold is smaller; see ``SelectSettings.near_duplicate``.
        """
        given = distances if isinstance(distances, Distances) else Distances(distances)
        n, columns = len(kinds), given.by_measure()
        finite = np.all([np.isfinite(values) for values in columns.values()], axis=0)
        if n and not finite.any():
            return cls(share, {}, n, "no novelty flag: there are no labelled training frames")
        columns, kinds = {name: values[finite] for name, values in columns.items()}, kinds[finite]
        n = len(kinds)
        if _rank(n, share) > n:
            need = frames_needed(share)
            note = f"no novelty flag: {n} validation frames, {need} are needed for {share:g}"
            return cls(share, {}, n, note)
        least = max(floor, _SMALLEST)
        fitted = {
            name: np.maximum(_ranked(values, kinds, share), least)
            for name, values in columns.items()
        }
        if len(fitted) > 1:
            ratios = [values / fitted[name][kinds] for name, values in columns.items()]
            growth = np.maximum(_ranked(np.max(ratios, axis=0), kinds, share), 1.0)
            fitted = {name: values * growth for name, values in fitted.items()}
        named = {
            name: dict(zip(DIMENSIONS, values.tolist(), strict=True))
            for name, values in fitted.items()
        }
        return cls(share, named.get("frames", {}), n, atoms=named.get("atoms", {}))

    @property
    def is_fitted(self) -> bool:
        """Whether there are thresholds."""
        return bool(self.thresholds or self.atoms)

    def of(self, frames: Dataset) -> Array:
        """The threshold of the distance of each frame, (N,); infinite without a threshold."""
        return limits(self.thresholds, frames)

    def of_atoms(self, frames: Dataset) -> Array:
        """The threshold of the atoms of each frame, (N,); infinite without a threshold."""
        return limits(self.atoms, frames)

    def to_dict(self) -> dict[str, Any]:
        """JSON values only; ``atoms`` only if atoms are compared."""
        content = asdict(self)
        return content if self.atoms else {k: v for k, v in content.items() if k != "atoms"}


@dataclass(frozen=True, eq=False)
class Remote:
    """Distances of explored frames over their thresholds.

    Attributes:
        distances: The distances that have a threshold.
        limits: The threshold of each frame, ``frames`` and ``atoms``, (N,) each.
    """

    distances: Distances
    limits: Mapping[str, Array]

    @classmethod
    def of(cls, frames: Dataset, distances: Distances, novelty: Novelty) -> Remote:
        """Compare the distances of some frames with the thresholds."""
        return cls(distances, {"frames": novelty.of(frames), "atoms": novelty.of_atoms(frames)})

    def by_measure(self) -> dict[str, Array]:
        """The ratios of distance to threshold: ``frames`` and ``atoms``, (N,) each."""
        return {n: values / self.limits[n] for n, values in self.distances.by_measure().items()}

    @property
    def ratio(self) -> Array:
        """The larger ratio of each frame, (N,): above 1 a frame is novel."""
        return np.asarray(np.max([*self.by_measure().values()], axis=0))

    def flagged_by(self) -> dict[str, int]:
        """Number of novel frames, and, with both measures, of those that each of them flags."""
        by = {NOVELTY: int(np.sum(self.ratio > 1.0))}
        ratios = self.by_measure()
        if len(ratios) > 1:
            by |= {NOVELTY_OF[name]: int(np.sum(ratio > 1.0)) for name, ratio in ratios.items()}
        return by

    def beyond(self, row: int) -> Beyond | None:
        """The distance with the larger ratio and its threshold, if the frame is novel."""
        ratios = {name: float(ratio[row]) for name, ratio in self.by_measure().items()}
        name = max(ratios, key=lambda key: ratios[key])
        if ratios[name] <= 1.0:
            return None
        limit, distance = float(self.limits[name][row]), self.distances.by_measure()[name][row]
        value = float(distance) if np.isfinite(distance) else None
        atoms = self.distances.atoms if name == "atoms" else None
        return Beyond(value, limit, None if atoms is None else int(atoms.atom[row]))


def grouped(thresholds: Mapping[str, float]) -> list[tuple[float, list[str]]]:
    """Each different threshold and its dimensions; that of crystals comes first."""
    groups: dict[float, list[str]] = {}
    for name in sorted(thresholds, reverse=True):
        groups.setdefault(thresholds[name], []).append(name)
    return list(groups.items())


def _ranked(values: Array, kinds: NDArray[np.int64], share: float) -> Array:
    """The quantile for frames of each of ``DIMENSIONS``, (4,)."""
    return np.array([_like(values, np.abs(kinds - k), share) for k in range(len(DIMENSIONS))])


def _like(distances: Array, unlike: NDArray[np.int64], share: float) -> float:
    """The quantile of the distances of the most similar dimensions that are enough for it."""
    for most in range(len(DIMENSIONS)):
        chosen = np.sort(distances[unlike <= most])
        if (rank := _rank(len(chosen), share)) <= len(chosen):
            break
    return float(chosen[rank - 1])


def _rank(n: int, share: float) -> int:
    return math.ceil(round((n + 1) * share, 9))
