"""Turns snapshots of a run into frames with their full origin, and failed runs into records."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from trainspot.common.units import FS_PER_PS
from trainspot.data.dataset import Dataset
from trainspot.data.failure import Failure, failure_of, reason_of, with_failure
from trainspot.data.frames import Frame, Origin
from trainspot.explore.base import Explored

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from trainspot.explore.schedule import Run

STRATEGY = "md"
_NUMBER: Final = re.compile(r"(?<![\w.])[-+]?\d[\d.]*(?:e[-+]?\d+)?", re.IGNORECASE)


def cut(start: Frame, run: Run, positions: ArrayLike, cell: ArrayLike, step: int) -> Frame:
    """One snapshot as an unlabelled frame; species, periodicity and state are those of the start.

    Args:
        start: The frame the run started from.
        run: The run.
        positions: Å, (n, 3), in the order of the start's atoms.
        cell: Å, (3, 3).
        step: The step of the snapshot.

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
    return Frame.make(start.numbers, positions, cell, start.pbc, origin=origin, **start.handed_on())


def gathered(
    starts: Dataset, runs: Sequence[Run], explored: Iterable[Frame], failures: Iterable[Frame]
) -> Explored:
    """Gather the results of several jobs of a schedule, in the order of runs and time.

    A step that two jobs have (of a continued run) is kept once. A run without its last frame and
    without a failure record gets a failure record.

    Args:
        starts: The start frames.
        runs: The whole schedule.
        explored: Frames of all jobs, in any order.
        failures: Failure records of all jobs.
    """
    kept: dict[tuple[str, int], Frame] = {}
    for frame in explored:
        key = (frame.origin.trajectory, int(frame.origin.parameters["step"]))
        kept.setdefault(key, frame)
    records = {fault.trajectory: frame for frame in failures if (fault := failure_of(frame))}
    rows = {identity: row for row, identity in enumerate(starts.ids)}
    frames: list[Frame] = []
    failing: list[Frame] = []
    for run in runs:
        steps = sorted(step for trajectory, step in kept if trajectory == run.trajectory)
        frames += [kept[run.trajectory, step] for step in steps]
        if run.trajectory in records:
            failing.append(records[run.trajectory])
        elif not steps or steps[-1] < run.steps:
            failing.append(failed(starts[rows[run.start]], run, "cut off before its end"))
    return Explored(Dataset.from_frames(frames), Dataset.from_frames(failing))


def failed(start: Frame, run: Run, reason: str, exit_status: int | None = None) -> Frame:
    """The record of a run that did not reach its end: its start frame and the reason."""
    return with_failure(start, Failure(reason, exit_status, run.trajectory))


def broken_off(failures: Dataset) -> dict[str, int]:
    """The number of failed runs for each reason; numbers in a reason do not count."""
    reasons = (_NUMBER.sub("…", reason_of(frame)) for frame in failures)
    return dict(sorted(Counter(reasons).items()))
