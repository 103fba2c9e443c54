"""Snapshots of a run become frames with their full origin; failed runs become data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainspot.frames import Frame, Origin
from trainspot.units import FS_PER_PS

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from trainspot.explore.schedule import Run

STRATEGY = "md"


def cut(start: Frame, run: Run, positions: ArrayLike, cell: ArrayLike, step: int) -> Frame:
    """One snapshot as an unlabelled frame; species and periodicity are those of the start.

    Args:
        start: The frame the run started from.
        run: The run.
        positions: Å, (n, 3), in the order of the start's atoms.
        cell: Å, (3, 3).
        step: The step it was taken at.

    Raises:
        InputError: A number is not finite.
    """
    origin = Origin(
        strategy=STRATEGY,
        parent=start.id,
        parameters={
            "temperature": run.temperature,
            "pressure": run.pressure,
            "ensemble": run.ensemble,
            "step": step,
            "time": step * run.timestep / FS_PER_PS,
        },
        seed=run.seed,
        trajectory=run.trajectory,
        iteration=run.iteration,
    )
    return Frame.make(start.numbers, positions, cell, start.pbc, origin=origin)


def failed(start: Frame, run: Run, reason: str, exit_status: int | None = None) -> Frame:
    """The record of a run that did not reach its end: its start frame and the reason."""
    failure = {"reason": reason, "exit_status": exit_status, "trajectory": run.trajectory}
    return start.with_(info={**start.info, "failure": failure})
