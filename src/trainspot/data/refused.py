"""The mark of frames that a screen refused and that are labelled all the same.

A campaign labels some of the frames that its screen refuses, to see the mistakes of the screen. The
mark stays with such a frame in every file. Once the frame has labels, its largest force shows
whether it is physical: a physical frame is used for training, another one for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from trainspot.data.dataset import Dataset
from trainspot.data.metadata import decode_metadata

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from trainspot.data.frames import Frame

MARK: Final = "screen_audit"
"""Metadata key of the mark: ``cause``, and ``max_force``, the force limit of the screen, eV/Å."""

_KEY: Final = f'"{MARK}"'.encode()


def marked(frames: Dataset, causes: Mapping[str, str], max_force: float) -> Dataset:
    """The frames, some of them with the mark.

    Args:
        frames: Frames.
        causes: Why the screen refused a frame, by id; the other frames stay as they are.
        max_force: Largest force of a physical frame, eV/Å.
    """
    if not causes:
        return frames
    return Dataset.from_frames(
        frame.with_(info={**frame.info, MARK: {"cause": causes[frame.id], "max_force": max_force}})
        if frame.id in causes
        else frame
        for frame in frames
    )


def without_marked(frames: Dataset) -> Dataset:
    """The frames without the mark."""
    rows = marked_rows(frames)
    return frames.take(~rows) if rows.any() else frames


def marked_rows(frames: Dataset) -> NDArray[np.bool_]:
    """Which frames have the mark, (N,)."""
    return np.isfinite(_limits(frames))


def is_physical(frame: Frame) -> bool | None:
    """Whether a frame with the mark is physical; ``None`` without the mark or without forces."""
    limit, forces = _limit(frame.info), frame.labels.forces
    if limit is None or forces is None:
        return None
    return bool(np.sqrt(np.square(forces).sum(axis=1)).max() <= limit)


def physical_rows(frames: Dataset) -> NDArray[np.bool_]:
    """Which frames have the mark, and labels that show that they are physical, (N,)."""
    physical = marked_rows(frames) & frames.is_labelled
    for row in np.flatnonzero(physical).tolist():
        physical[row] = is_physical(frames[row])
    return physical


@dataclass(frozen=True)
class Outcome:
    """What labels say about frames that a screen refused.

    Attributes:
        labelled: Number of labelled frames with the mark.
        physical: Number of these whose forces are all within the limit of the screen.
    """

    labelled: int
    physical: int

    @classmethod
    def of(cls, frames: Dataset) -> Outcome:
        """Count the frames with mark and labels."""
        labelled = int((marked_rows(frames) & frames.is_labelled).sum())
        return cls(labelled, int(physical_rows(frames).sum()) if labelled else 0)


def not_held_out(frames: Dataset) -> list[str]:
    """Ids of the frames that no calibration may use: training frames and frames with the mark."""
    return [*frames.subset("train").ids, *frames.take(marked_rows(frames)).ids]


def _limits(frames: Dataset) -> NDArray[np.float64]:
    """The force limit in the mark of each frame, (N,), eV/Å; infinite without a mark."""
    limits = np.full(len(frames), np.inf)
    text = np.asarray(frames.columns["info"][...]).tobytes()
    if _KEY not in text:  # as in nearly all datasets: no metadata is decoded
        return limits
    edges = np.asarray(frames.columns["info_offsets"][...]).tolist()
    for row, (start, stop) in enumerate(pairwise(edges)):
        if _KEY in text[start:stop]:
            limit = _limit(decode_metadata(text[start:stop]))
            limits[row] = np.inf if limit is None else limit
    return limits


def _limit(info: Mapping[str, Any]) -> float | None:
    """The force limit in a mark; ``None`` without a mark of this form."""
    mark = info.get(MARK)
    limit = mark.get("max_force") if isinstance(mark, dict) else None
    return float(limit) if isinstance(limit, int | float) and np.isfinite(limit) else None
