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
    """Nobody listens."""


@dataclass(frozen=True)
class Rehearsal:
    """Everything read and checked, nothing computed.

    Attributes:
        campaigns: What is compared, by name.
        inputs: The structures, unlabelled.
        oracle: What labels.
        oracle_name: As the user named it.
        cost: What a label is taken to cost.
        seeds: One for each repetition.
        foundation: Model file for ``start: foundation``.
        notes: What is not as in the campaign file.
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
        """Campaigns that will be run."""
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
            test_frames: How many common test frames are asked for.
            workers: Campaigns that run at the same time, each in a process.
            keep: Folder, made if need be; campaigns finished in it are not run again.
            on_message: Told what happens.
            on_done: Told when the test frames and each campaign are ready.

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
        """Those that are kept, then the others as they are finished."""
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
    """Read and check everything a rehearsal needs.

    Args:
        file: The campaign file.
        changes: Values to change in it, by dotted key.
        oracle_name: See ``oracle.parse``.
        trainer: Name of the trainer.
        cost: What a label is taken to cost.
        seeds: Repetitions of each arm; the first has the campaign's own seed.

    Raises:
        InputError: Anything wrong; nothing has been computed.
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
