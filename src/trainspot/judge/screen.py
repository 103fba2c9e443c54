"""The screen: which explored frames are physical enough to be judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from trainspot import geometry
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.judge.settings import ScreenSettings
from trainspot.predictions.predictions import Predictions


@dataclass(frozen=True)
class Screened:
    """What the screen let through.

    Attributes:
        kept: Ids of the frames that passed, each once, in order.
        refused: How many frames were refused for each reason: ``non_finite``, ``overlap``,
            ``force``, ``volume``.
        reasons: For each refused id, in words, why.
    """

    kept: tuple[str, ...]
    refused: dict[str, int]
    reasons: dict[str, str]


def screen(
    explored: Dataset, starts: Dataset, predictions: Predictions | None, settings: ScreenSettings
) -> Screened:
    """Refuse frames with non-finite predictions, overlaps, huge forces or lost volumes.

    A frame that fails several tests is counted under the first of them.

    Args:
        explored: Frames to be screened; a frame met twice is screened once.
        starts: Frames that the trajectories started from, found by ``origin.parent``; a frame
            without a known start has no volume test.
        predictions: The committee's, or ``None`` to test the geometry alone.
        settings: Limits.

    Raises:
        InputError: A frame that the predictions lack.
    """
    unique = explored.select(dict.fromkeys(explored.ids))
    mine = None if predictions is None else predictions.select(unique.ids)
    start_volume = _volumes(starts)
    verdicts = {
        frame.id: _objection(frame, row, mine, start_volume, settings)
        for row, frame in enumerate(unique)
    }
    refused = {identity: found for identity, found in verdicts.items() if found}
    return Screened(
        kept=tuple(identity for identity in unique.ids if identity not in refused),
        refused=dict(sorted(Counter(kind for kind, _ in refused.values()).items())),
        reasons={identity: words for identity, (_, words) in refused.items()},
    )


def _objection(
    frame: Frame,
    row: int,
    predictions: Predictions | None,
    start_volume: dict[str, float],
    settings: ScreenSettings,
) -> tuple[str, str] | None:
    return next(_objections(frame, row, predictions, start_volume, settings), None)


def _objections(
    frame: Frame,
    row: int,
    predictions: Predictions | None,
    start_volume: dict[str, float],
    settings: ScreenSettings,
) -> Iterator[tuple[str, str]]:
    """Kind and words of each test that a frame fails."""
    if predictions is not None and not predictions.is_finite[row]:
        yield "non_finite", "a prediction is not finite"
    if contact := geometry.worst_contact(frame, settings.overlap):
        yield "overlap", geometry.describe_contact(frame, contact)
    if predictions is not None and predictions.max_force[row] > settings.max_force:
        force = predictions.max_force[row]
        yield "force", f"a force of {force:.3g} eV/Å exceeds {settings.max_force:.3g} eV/Å"
    if frame.pbc.all() and frame.origin.parent in start_volume:
        ratio = _volume(frame) / start_volume[frame.origin.parent]
        if not settings.min_volume <= ratio <= settings.max_volume:
            yield "volume", f"volume per atom is {ratio:.3g} times that of the start frame"


def _volumes(starts: Dataset) -> dict[str, float]:
    """Å³ per atom of each start frame that is periodic in all directions."""
    return {frame.id: _volume(frame) for frame in starts if frame.pbc.all()}


def _volume(frame: Frame) -> float:
    return float(abs(np.linalg.det(frame.cell))) / len(frame)
