"""A rehearsal from its campaign file to its outcome."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trainspot.common.seeds import derive_seed
from trainspot.config.load import foundation_file, read_inputs
from trainspot.data.dataset import Dataset
from trainspot.rehearse import arms, kept, oracle
from trainspot.rehearse.outcome import Outcome
from trainspot.rehearse.testset import common_test, of_dynamics
from trainspot.rehearse.trial import run_all, tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from trainspot.config.models import Campaign
    from trainspot.label.ase import AseSettings
    from trainspot.rehearse.cost import CostModel
    from trainspot.rehearse.trial import Task, Track


def _silent(_: str) -> None:
    """Do nothing with a message."""


@dataclass(frozen=True)
class Rehearsal:
    """A rehearsal whose inputs are read and checked, before any calculation.

    Attributes:
        campaigns: The campaigns to compare, by name.
        inputs: The structures, without labels.
        oracle: Settings of the oracle.
        oracle_name: Name of the oracle, as the user wrote it.
        cost: Cost of a label.
        seeds: One seed for each repetition.
        foundation: Model file for ``start: foundation``.
        notes: Settings that differ from the campaign file.
    """

    campaigns: Mapping[str, Campaign]
    inputs: Dataset
    oracle: AseSettings
    oracle_name: str
    cost: CostModel
    seeds: tuple[int, ...]
    foundation: Path | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Number of campaigns to run."""
        return len(self.campaigns) * len(self.seeds)

    def run(
        self,
        *,
        test_frames: int,
        workers: int = 1,
        keep: Path | None = None,
        on_message: Callable[[str], None] = _silent,
        on_done: Callable[[str], None] = _silent,
    ) -> Outcome:
        """Make the common test frames and run every campaign.

        Args:
            test_frames: Number of common test frames.
            workers: Number of campaigns that run at the same time, each in a process.
            keep: Folder for finished campaigns, which do not run again; created if missing.
            on_message: Called with a message for each step.
            on_done: Called when the test frames and each campaign are ready.

        Raises:
            DataError: The file of a kept campaign is damaged.
            RunError: A campaign cannot go on, or no test frame could be made.
        """
        if keep is not None:
            keep.mkdir(exist_ok=True)
        first = next(iter(self.campaigns.values()))
        test = common_test(self.inputs, first, self.oracle, test_frames, progress=on_message)
        moving = len(of_dynamics(test))
        on_done("common test frames")
        todo = tasks(self.campaigns, self.inputs, test, self.cost, self.seeds, self.foundation)
        tracks = []
        for track in self._tracks(todo, workers, keep, on_message):
            tracks.append(track)
            words = f": {track.ending}" if track.ending else ""
            on_done(f"{track.arm}, seed {track.seed}: {track.state}{words}")
        return Outcome(
            name=first.name,
            seed=first.seed,
            oracle=self.oracle_name,
            trainer=first.train.engine,
            cost=self.cost,
            test={"molecular dynamics": moving, "augmentation": len(test) - moving},
            tracks=tracks,
            notes=self.notes,
        )

    def _tracks(
        self,
        todo: Sequence[Task],
        workers: int,
        keep: Path | None,
        on_message: Callable[[str], None],
    ) -> Iterator[Track]:
        """The tracks in the folder, then the other tracks as campaigns finish."""
        if keep is None:
            yield from (track for _, track in run_all(todo, workers, on_message))
            return
        tracks = [kept.read(keep, task) for task in todo]
        yield from filter(None, tracks)
        left = [task for task, track in zip(todo, tracks, strict=True) if track is None]
        for task, track in run_all(left, workers, on_message):
            kept.write(keep, task, track)
            yield track


def prepare(
    file: Path,
    changes: Mapping[str, Any],
    oracle_name: str,
    trainer: str,
    cost: CostModel,
    seeds: int,
) -> Rehearsal:
    """Read and check all inputs of a rehearsal.

    Args:
        file: The campaign file.
        changes: Values to change in it, by dotted key.
        oracle_name: See ``oracle.parse``.
        trainer: Name of the trainer.
        cost: Cost of a label.
        seeds: Repetitions of each arm; the first has the seed of the campaign.

    Raises:
        InputError: An error in the inputs; nothing has been computed.
    """
    loaded = arms.load(file, changes)
    reference = oracle.parse(oracle_name)
    campaign, notes = arms.rehearsed(loaded.campaign, reference, trainer)
    frames = read_inputs(loaded)
    if frames.is_labelled.any():
        notes.append("the cheap reference labels the dataset again; its labels count as new")
    inputs = frames.without_labels()
    oracle.check(inputs, reference)
    more = (derive_seed(campaign.seed, "rehearse", k) for k in range(1, seeds))
    foundation = foundation_file(loaded) if campaign.train.start == "foundation" else None
    return Rehearsal(
        arms.arms(campaign),
        inputs,
        reference,
        oracle_name,
        cost,
        (campaign.seed, *more),
        foundation,
        notes,
    )
