"""A rehearsal from its campaign file to its outcome."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trainspot.common.errors import InputError
from trainspot.common.seeds import derive_seed
from trainspot.config.load import foundation_file, read_inputs
from trainspot.data.dataset import Dataset
from trainspot.io.pool import read_pool
from trainspot.rehearse import arms, kept, oracle
from trainspot.rehearse.outcome import Outcome
from trainspot.rehearse.testset import common_test, of_dynamics, of_pool
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
        oracle: Settings of the oracle; ``None``: labels are looked up.
        oracle_name: Name of the oracle, as the user wrote it.
        cost: Cost of a label.
        seeds: One seed for each repetition.
        foundation: Model file for ``start: foundation``.
        notes: Settings that differ from the campaign file.
        pool: The frames that the campaigns draw from; ``None`` for molecular dynamics.
    """

    campaigns: Mapping[str, Campaign]
    inputs: Dataset
    oracle: AseSettings | None
    oracle_name: str
    cost: CostModel
    seeds: tuple[int, ...]
    foundation: Path | None = None
    notes: list[str] = field(default_factory=list)
    pool: Dataset | None = None

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
        test, origins = self._test(first, test_frames, on_message)
        on_done("common test frames")
        pool = None if self.pool is None else self.pool.without(test.ids)
        inputs = self.inputs.without(test.ids)
        todo = tasks(self.campaigns, inputs, test, self.cost, self.seeds, self.foundation, pool)
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
            test=origins,
            tracks=tracks,
            notes=self.notes,
            of_pool=self.pool is not None,
            looks_up=self.oracle is None,
        )

    def _test(
        self, campaign: Campaign, frames: int, on_message: Callable[[str], None]
    ) -> tuple[Dataset, dict[str, int]]:
        """The common test frames, and how many of them have which origin."""
        if self.pool is not None:
            test = of_pool(self.pool, campaign, self.oracle, frames)
            return test, {"frames of the pool": len(test)}
        assert self.oracle is not None
        test = common_test(self.inputs, campaign, self.oracle, frames, progress=on_message)
        moving = len(of_dynamics(test))
        return test, {"molecular dynamics": moving, "augmentation": len(test) - moving}

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
    oracle_name: str | None,
    trainer: str,
    cost: CostModel,
    seeds: int,
) -> Rehearsal:
    """Read and check all inputs of a rehearsal.

    Args:
        file: The campaign file.
        changes: Values to change in it, by dotted key.
        oracle_name: See ``oracle.parse``; ``None`` for a campaign that looks its labels up.
        trainer: Name of the trainer.
        cost: Cost of a label.
        seeds: Repetitions of each arm; the first has the seed of the campaign.

    Raises:
        InputError: An error in the inputs; nothing has been computed.
    """
    loaded = arms.load(file, changes)
    reference = _reference(loaded.campaign, oracle_name)
    campaign, notes = arms.rehearsed(loaded.campaign, reference, trainer)
    inputs = read_inputs(loaded)
    if reference is not None:
        if inputs.is_labelled.any():
            notes.append("the cheap reference labels the dataset again; its labels count as new")
        inputs = inputs.without_labels()
        oracle.check(inputs, reference)
    draws = campaign.explore.explorer.draws_from_pool
    pool = read_pool(campaign.pools["explore"]) if draws else None
    more = (derive_seed(campaign.seed, "rehearse", k) for k in range(1, seeds))
    foundation = foundation_file(loaded) if campaign.train.start == "foundation" else None
    return Rehearsal(
        arms.arms(campaign),
        inputs,
        reference,
        oracle_name or campaign.label.labeller.described(campaign.label.settings),
        cost,
        (campaign.seed, *more),
        foundation,
        notes,
        pool,
    )


def _reference(campaign: Campaign, name: str | None) -> AseSettings | None:
    """The settings of the oracle; ``None`` if the campaign looks its labels up and needs none.

    Raises:
        InputError: The campaign computes its labels, and no oracle is named.
    """
    if name is not None:
        return oracle.parse(name)
    if campaign.label.labeller.looks_up:
        return None
    raise InputError(
        f"labels of {campaign.label.engine} need a cheap reference in their place",
        where="--oracle",
        hint="name an ASE calculator, such as tersoff, or a model file",
    )
