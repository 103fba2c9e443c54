"""The screen, which refuses unphysical explored frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from ase.data import chemical_symbols, covalent_radii

from trainspot import geometry
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.judge.decision import Beyond, Contact, FrameDecision, Kind, Objection
from trainspot.judge.settings import ScreenSettings
from trainspot.predictions.predictions import Predictions


@dataclass(frozen=True)
class Screened:
    """The result of the screen.

    Attributes:
        kept: Ids of the frames that passed, each once, in order.
        decisions: The decision about each refused id.
    """

    kept: tuple[str, ...]
    decisions: dict[str, FrameDecision]

    @property
    def refused(self) -> dict[str, int]:
        """Number of refused frames by ``Objection``."""
        causes = (decision.cause for decision in self.decisions.values())
        return dict(sorted(Counter(causes).items()))


def screen(
    explored: Dataset, starts: Dataset, predictions: Predictions | None, settings: ScreenSettings
) -> Screened:
    """Refuse frames with non-finite predictions, overlaps, huge forces or lost volumes.

    Two atoms overlap if they are closer than ``overlap`` times the sum of their covalent radii and
    a member predicts a force above ``overlap_force`` on one of them, or if they are closer than the
    floor. A frame that fails several tests is counted under the first of them.

    Args:
        explored: Frames to screen; a frame that occurs twice is screened once.
        starts: Start frames of the trajectories, by ``origin.parent``; a frame whose start frame
            is missing has no volume test.
        predictions: Predictions of the committee, or ``None`` to test the geometry only. Then only
            distances below the floor are overlaps, so that no frame is refused for what is not
            known about it.
        settings: Limits.

    Raises:
        InputError: A frame that the predictions lack.
    """
    unique = explored.select(dict.fromkeys(explored.ids))
    mine = None if predictions is None else predictions.select(unique.ids)
    start_volume = _volumes(starts)
    refused: dict[str, FrameDecision] = {}
    for row, frame in enumerate(unique):
        first = next(_objections(frame, row, mine, start_volume, settings), None)
        if first is not None:
            refused[frame.id] = first
    return Screened(tuple(i for i in unique.ids if i not in refused), refused)


def _objections(
    frame: Frame,
    row: int,
    predictions: Predictions | None,
    start_volume: dict[str, float],
    settings: ScreenSettings,
) -> Iterator[FrameDecision]:
    """A decision for each test that a frame fails."""
    if predictions is not None and not predictions.is_finite[row]:
        yield FrameDecision(Kind.REFUSED, Objection.NON_FINITE.value)
    yield from _overlaps(frame, row, predictions, settings)
    if predictions is not None and predictions.max_force[row] > settings.max_force:
        force = float(predictions.max_force[row])
        yield FrameDecision(Kind.REFUSED, Objection.FORCE.value, force, settings.max_force)
    if frame.pbc.all() and frame.origin.parent in start_volume:
        ratio = _volume(frame) / start_volume[frame.origin.parent]
        low, high = settings.min_volume, settings.max_volume
        if not low <= ratio <= high:
            limit = low if ratio < low else high
            yield FrameDecision(Kind.REFUSED, Objection.VOLUME.value, ratio, limit)


def _overlaps(
    frame: Frame, row: int, predictions: Predictions | None, settings: ScreenSettings
) -> Iterator[FrameDecision]:
    """A decision for each overlap: the distances below the floor first, then by depth."""
    close = geometry.contacts(frame, settings.overlap)
    if not close:
        return
    floor = settings.floor
    for contact in close:
        if contact.distance < floor * _radii(frame, contact):
            yield _overlap(frame, contact, floor)
    if predictions is None:
        return
    forces = predictions.force_of_any_member(row)
    for contact in close:
        largest = float(max(forces[contact.first], forces[contact.second]))
        if largest > settings.overlap_force:
            force = Beyond(largest, settings.overlap_force)
            yield _overlap(frame, contact, settings.overlap, force)


def _overlap(
    frame: Frame, contact: geometry.Contact, factor: float, force: Beyond | None = None
) -> FrameDecision:
    atoms = (contact.first, contact.second)
    first, second = (chemical_symbols[frame.numbers[atom]] for atom in atoms)
    return FrameDecision(
        Kind.REFUSED,
        Objection.OVERLAP.value,
        contact.distance,
        factor * _radii(frame, contact),
        contact=Contact(atoms, (first, second)),
        force=force,
    )


def _radii(frame: Frame, contact: geometry.Contact) -> float:
    """Sum of the covalent radii of two atoms, Å."""
    return float(covalent_radii[frame.numbers[[contact.first, contact.second]]].sum())


def _volumes(starts: Dataset) -> dict[str, float]:
    """Å³ per atom of each start frame that is periodic in all directions."""
    return {frame.id: _volume(frame) for frame in starts if frame.pbc.all()}


def _volume(frame: Frame) -> float:
    return float(abs(np.linalg.det(frame.cell))) / len(frame)
