"""What lies near an explored frame: its distance from the training frames, and its neighbour."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ase.data import chemical_symbols

from trainspot.common.errors import MissingExtraError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.descriptors import DescriptorSettings
from trainspot.judge.novelty import Novelty
from trainspot.judge.space import Space


@dataclass(frozen=True)
class FarthestAtom:
    """The atom that is farthest from the training atoms of its element.

    Attributes:
        index: Index of the atom, from 0.
        element: Chemical symbol.
        distance: Descriptor distance; ``None``: no training atom has its element.
        threshold: Distance beyond which the atom makes its frame novel.
        exceeds: Whether it does.
    """

    index: int
    element: str
    distance: float | None
    threshold: float
    exceeds: bool


@dataclass(frozen=True)
class Distance:
    """The distance of a frame from the training frames.

    Attributes:
        distance: Descriptor distance to the nearest training frame; ``None`` without training
            frames or without a descriptor.
        threshold: Distance beyond which a frame is novel; ``None``: the iteration had no
            threshold for whole frames.
        exceeds: Whether the frame is novel, by its distance or by its farthest atom.
        note: Why there is no threshold or no distance.
        farthest_atom: The farthest atom, if the iteration had a threshold for atoms.
    """

    distance: float | None
    threshold: float | None
    exceeds: bool
    note: str
    farthest_atom: FarthestAtom | None = None


@dataclass(frozen=True)
class Nearest:
    """The labelled frame nearest to another frame.

    Attributes:
        frame: Id of the labelled frame.
        strategy: Strategy that made the labelled frame.
        distance: Descriptor distance.
    """

    frame: str
    strategy: str
    distance: float


def surroundings(
    frame: Frame, known: Dataset, settings: DescriptorSettings, judged: Novelty
) -> tuple[Distance, Nearest | None]:
    """Novelty and the nearest labelled frame, computed again: descriptors are not stored.

    Args:
        frame: A frame that was judged.
        known: The frames that were known at the judgement.
        settings: Settings of the descriptor.
        judged: The thresholds of the judgement.
    """
    try:
        alone = Dataset.from_frames([frame])
        space = Space.of(alone, known, settings)
    except MissingExtraError as error:
        return Distance(None, None, exceeds=False, note=str(error)), None
    distance, limit = float(space.from_training()[0]), float(judged.of(alone)[0])
    farthest = _farthest_atom(frame, space, float(judged.of_atoms(alone)[0]))
    novelty = Distance(
        _finite(distance),
        _finite(limit),
        exceeds=distance > limit or (farthest is not None and farthest.exceeds),
        note=judged.note,
        farthest_atom=farthest,
    )
    nearest = space.nearest_known(0)
    if nearest is None:
        return novelty, None
    identity, away = nearest
    return novelty, Nearest(identity, known.by_id(identity).origin.strategy, away)


def _farthest_atom(frame: Frame, space: Space, limit: float) -> FarthestAtom | None:
    if not math.isfinite(limit):
        return None
    farthest = space.training_atoms.farthest(space.frames)
    distance, index = float(farthest.distance[0]), int(farthest.atom[0])
    element = chemical_symbols[frame.numbers[index]]
    return FarthestAtom(index, element, _finite(distance), limit, exceeds=distance > limit)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
