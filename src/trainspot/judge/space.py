"""Explored and known frames in descriptor space: novel frames and near-duplicates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from trainspot.common.errors import MissingExtraError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import SPLITS, Split
from trainspot.descriptors import DescriptorSettings, descriptors, nearest
from trainspot.judge.decision import Twin
from trainspot.judge.novelty import Distances, Novelty, Remote, dimensions
from trainspot.judge.settings import NoveltyOf
from trainspot.predictions.domain import Domain, TrainingAtoms
from trainspot.predictions.statistics import Array


@dataclass(frozen=True, eq=False)
class Space:
    """Frames as points in descriptor space.

    Attributes:
        frames: The explored frames that may be chosen, n.
        known: All frames that are labelled, wait for a label, or could not be labelled, m.
        points: Descriptors of ``frames``, (n, D).
        places: Descriptors of ``known``, (m, D).
        settings: Settings of the descriptors.
    """

    frames: Dataset
    known: Dataset
    points: Array
    places: Array
    settings: DescriptorSettings

    @classmethod
    def of(cls, frames: Dataset, known: Dataset, settings: DescriptorSettings) -> Space:
        """Compute the descriptors of both datasets, with the same columns.

        Raises:
            MissingExtraError: featomic is not installed.
        """
        species = sorted({*frames.species, *known.species})
        points, places = (descriptors(p, settings, species=species) for p in (frames, known))
        return cls(frames, known, points, places, settings)

    def from_training(self) -> Array:
        """Distance of each explored frame to the nearest labelled training frame, (n,)."""
        return nearest(self.points, self.places[self._labelled("train")])[0]

    @cached_property
    def training_atoms(self) -> TrainingAtoms:
        """The atoms of the labelled training frames."""
        return TrainingAtoms.of(self.known.take(self._labelled("train")), self.settings)

    def novelty(self, share: float | None, floor: float, of: NoveltyOf = "frames") -> Novelty:
        """The distances beyond which frames are novel; see ``Novelty.fit``.

        Isolated validation atoms do not count: they are far from all other frames and never
        explored.

        Args:
            share: See ``Novelty``.
            floor: No threshold is smaller; see ``SelectSettings.near_duplicate``.
            of: What is compared: whole frames, their atoms, or both.
        """
        if share is None:
            return Novelty()
        kinds = dimensions(self.known)
        validation = self._labelled("validation") & ((self.known.n_atoms > 1) | (kinds > 0))
        distances = self._distances(
            self.places[validation],
            self.known.take(validation),
            frames=of != "atoms",
            atoms=of != "frames",
        )
        return Novelty.fit(distances, kinds[validation], share, floor)

    def remote(self, novelty: Novelty) -> Remote:
        """The distances of the explored frames that have a threshold."""
        distances = self._distances(
            self.points,
            self.frames,
            frames=bool(novelty.thresholds),
            atoms=bool(novelty.atoms),
        )
        return Remote.of(self.frames, distances, novelty)

    def _distances(self, points: Array, of: Dataset, *, frames: bool, atoms: bool) -> Distances:
        """Distances of some frames with these descriptors to the labelled training frames."""
        return Distances(
            nearest(points, self.places[self._labelled("train")])[0] if frames else None,
            self.training_atoms.farthest(of) if atoms else None,
        )

    def nearest_known(self, row: int) -> tuple[str, float] | None:
        """Id of the labelled frame nearest to an explored one, and the distance."""
        labelled = self.known.is_labelled
        if not labelled.any():
            return None
        distance, rows = nearest(self.points[row : row + 1], self.places[labelled])
        return self.known.labelled().ids[int(rows[0])], float(distance[0])

    def repeated(self, limit: float, score: Array) -> dict[str, Twin]:
        """Explored frames that nearly equal a known frame or another explored frame that is kept.

        Among explored frames that nearly equal each other, the frame with the highest score is
        kept; at equal scores, the first frame.

        Args:
            limit: Descriptor distance; 0: there are no near-duplicates.
            score: Score of each explored frame, (n,).

        Returns:
            For each near-duplicate the frame that it repeats.
        """
        if limit <= 0.0 or not len(self.frames):
            return {}
        ids, distance, row = self.frames.ids, *nearest(self.points, self.places)
        known_ids = self.known.ids
        twin_of = {
            identity: Twin(known_ids[row[k]], is_known=True, distance=float(distance[k]))
            for k, identity in enumerate(ids)
            if distance[k] < limit
        }
        neighbours: dict[int, list[int]] = {}
        for left, right in cKDTree(self.points).query_pairs(limit, output_type="ndarray").tolist():
            neighbours.setdefault(left, []).append(right)
            neighbours.setdefault(right, []).append(left)
        kept: set[int] = set()
        for k in sorted(neighbours, key=lambda k: (-score[k], ids[k])):
            if ids[k] in twin_of:
                continue
            first = min((t for t in neighbours[k] if t in kept), default=None)
            if first is None:
                kept.add(k)
            else:
                twin_of[ids[k]] = Twin(ids[first], is_known=False)
        return twin_of

    def _labelled(self, split: Split) -> NDArray[np.bool_]:
        return _labelled(self.known, split)


def domain_of(
    known: Dataset, novelty: Novelty, settings: DescriptorSettings
) -> tuple[Domain | None, str]:
    """The domain of a committee, for its export, or the reason why there is none.

    Args:
        known: The training dataset of the committee, as it was judged.
        novelty: The thresholds of this judgement.
        settings: Settings of the descriptor.
    """
    if novelty.share is None:
        return None, "novelty was switched off (select.novelty: null)"
    if not novelty.is_fitted:
        return None, novelty.note
    training = known.take(_labelled(known, "train"))
    try:
        return Domain.of(training, settings, novelty.thresholds, novelty.atoms), ""
    except MissingExtraError as error:
        return None, str(error)


def _labelled(known: Dataset, split: Split) -> NDArray[np.bool_]:
    """Mask of the labelled frames of a split, (m,)."""
    return np.asarray(known.is_labelled & (known.column("split") == 1 + SPLITS.index(split)))
