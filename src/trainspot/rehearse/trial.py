"""One campaign of a rehearsal, from its structures to its learning curve."""

from __future__ import annotations

import shutil
import tempfile
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainspot.campaign import loop
from trainspot.campaign.engines import engines_of
from trainspot.common import processes
from trainspot.common.errors import RunError, TrainingError
from trainspot.common.text import sentences
from trainspot.config.load import first_of_pool
from trainspot.evaluate.batch import evaluate
from trainspot.judge.verdict import State
from trainspot.rehearse.arms import seeded
from trainspot.rehearse.testset import of_dynamics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from trainspot.config.models import Campaign
    from trainspot.data.dataset import Dataset
    from trainspot.rehearse.cost import CostModel


@dataclass(frozen=True, slots=True)
class Point:
    """The state of a campaign after the training of an iteration.

    Attributes:
        labels: Number of labelled frames, with held-out frames.
        core_hours: Cost of these labels by DFT.
        forces: RMSE of the committee mean on the common test frames, eV/Å.
        forces_md: The same error on frames from molecular dynamics only, eV/Å; ``None`` without
            such frames.
        energy: RMSE of the energy, as for ``forces``, eV/atom.
        explored: Number of explored frames.
        flagged: Number of flagged frames.
        chosen: Number of frames to label next, with the audit.
        fitted: Whether a threshold was fitted; without a threshold the choice was random.
    """

    labels: int
    core_hours: float
    forces: float
    forces_md: float | None
    energy: float
    explored: int
    flagged: int
    chosen: int
    fitted: bool = True

    def to_dict(self) -> dict[str, Any]:
        """JSON values only."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Track:
    """The learning curve of one arm with one seed.

    Attributes:
        arm: Name of the arm.
        seed: Seed of the campaign.
        state: How the campaign ended, see ``loop.Result``.
        points: One point for each iteration.
        audited: Number of labels of a final audit, after the last training.
        audit_hours: Cost of these labels by DFT, core-hours.
        ending: Why the campaign could not go on; empty for a regular end.
    """

    arm: str
    seed: int
    state: str
    points: tuple[Point, ...]
    audited: int = 0
    audit_hours: float = 0.0
    ending: str = ""

    @property
    def labels(self) -> int:
        """Number of all labels."""
        return self.points[-1].labels + self.audited

    @property
    def core_hours(self) -> float:
        """Cost of all labels by DFT."""
        return self.points[-1].core_hours + self.audit_hours

    def column(self, name: str) -> NDArray[np.float64]:
        """One figure of all points, (n,)."""
        return np.array([getattr(point, name) for point in self.points], dtype=np.float64)

    def to_dict(self) -> dict[str, Any]:
        """JSON values only."""
        return {
            "arm": self.arm,
            "seed": self.seed,
            "state": self.state,
            "points": [point.to_dict() for point in self.points],
            "audited": self.audited,
            "audit_hours": self.audit_hours,
        } | ({"ending": self.ending} if self.ending else {})

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Track:
        """The inverse of ``to_dict``."""
        points = tuple(Point(**point) for point in content["points"])
        added = (("audited", 0), ("audit_hours", 0.0), ("ending", ""))  # missing in the first files
        more = {name: content.get(name, default) for name, default in added}
        return cls(content["arm"], content["seed"], content["state"], points, **more)


@dataclass(frozen=True)
class Task:
    """The inputs of a process that runs one campaign.

    Attributes:
        arm: Name of the arm.
        campaign: The campaign, with its seed and engines that run in this process.
        inputs: The structures, without labels.
        test: The common test frames, with labels.
        cost: Cost of a label.
        foundation: Model file for ``start: foundation``.
        pool: The frames that the campaign draws from, without the test frames; ``None`` for
            molecular dynamics.
    """

    arm: str
    campaign: Campaign
    inputs: Dataset
    test: Dataset
    cost: CostModel
    foundation: Path | None = None
    pool: Dataset | None = None

    @property
    def start(self) -> Dataset:
        """The frames that the campaign starts from."""
        if self.pool is None or not self.campaign.starts_from_pool:
            return self.inputs
        return first_of_pool(self.campaign, self.pool)


def run(task: Task, progress: Callable[[str], None] = lambda _: None) -> Track:
    """Run one campaign and test the committee of each of its iterations.

    Raises:
        RunError: See ``loop.run``.
    """
    with _folder() as folder:
        engines = engines_of(task.campaign, folder, task.foundation, task.pool)
        result = loop.run(task.start, task.campaign, engines, progress=progress)
        points = tuple(_point(turn, task) for turn in result.turns)
    last = result.turns[-1].decision.dataset.labelled()
    late = result.dataset.labelled().without(last.ids)
    hours = task.cost.core_hours(late.n_atoms)
    ending = loop.ending_of(result, task.campaign)
    early = result.state == State.NO_VALID_EXPLORATION and ending is not None
    words = sentences(ending.message, ending.remedy) if early and ending else ""
    return Track(task.arm, task.campaign.seed, result.state, points, len(late), hours, words)


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder for the trainings; it stays if a training fails, since the error names a file."""
    folder = Path(tempfile.mkdtemp(prefix="trainspot-rehearse-"))
    failed = False
    try:
        yield folder
    except TrainingError:
        failed = True
        raise
    finally:
        if not failed:
            shutil.rmtree(folder)


def _point(turn: loop.Turn, task: Task) -> Point:
    labelled = turn.decision.dataset.labelled()
    predictions = evaluate(task.test, turn.committee)
    moving = of_dynamics(task.test) if task.pool is None else task.test[:0]
    error = predictions.rmse(task.test)
    return Point(
        labels=len(labelled),
        core_hours=task.cost.core_hours(labelled.n_atoms),
        forces=error["forces"],
        forces_md=predictions.select(moving.ids).rmse(moving)["forces"] if len(moving) else None,
        energy=error["energy"],
        explored=turn.record.explored or 0,
        flagged=turn.record.flagged or 0,
        chosen=len(turn.decision.judgement.chosen),
        fitted=not turn.decision.judgement.fallback,
    )


def tasks(
    campaigns: Mapping[str, Campaign],
    inputs: Dataset,
    test: Dataset,
    cost: CostModel,
    seeds: Sequence[int],
    foundation: Path | None = None,
    pool: Dataset | None = None,
) -> list[Task]:
    """A task for each arm and seed; all arms of one seed come before the next seed."""
    return [
        Task(arm, seeded(campaign, seed), inputs, test, cost, foundation, pool)
        for seed in seeds
        for arm, campaign in campaigns.items()
    ]


def run_all(
    todo: Sequence[Task], workers: int, progress: Callable[[str], None] = lambda _: None
) -> Iterator[tuple[Task, Track]]:
    """Run tasks in this process or in several; yield the track of each finished task.

    Raises:
        RunError: See ``run``; running tasks finish first. Or a process died.
    """
    if min(workers, len(todo)) <= 1:
        for task in todo:
            name = f"{task.arm}, seed {task.campaign.seed}"
            yield task, run(task, lambda text, name=name: progress(f"{name}: {text}"))  # type: ignore[misc]
        return
    with processes.pool(workers, _one_core) as pool:
        running = {pool.submit(run, task): task for task in todo}
        try:
            for future in as_completed(running):
                yield running[future], future.result()
        except BrokenProcessPool as error:
            raise RunError(
                "a process that rehearsed a campaign died",
                hint="if memory was short, use fewer --workers",
            ) from error
        finally:
            for future in running:
                future.cancel()


def _one_core() -> None:
    """Keep each campaign to one core, unless the user set a number of threads."""
    processes.keep_to_one_core(always=False)
