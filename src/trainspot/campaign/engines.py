"""The engines of a campaign without AiiDA, for the loop on one machine."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from trainspot.campaign.loop import Committee, Engines
from trainspot.campaign.pool import use_of
from trainspot.campaign.record import PoolUse
from trainspot.common.errors import InputError
from trainspot.config.models import Campaign
from trainspot.data.dataset import Dataset
from trainspot.explore.base import explorer
from trainspot.explore.pool import drawn
from trainspot.explore.schedule import Run
from trainspot.io.pool import read_pool
from trainspot.label.base import FrameEngine, engine
from trainspot.models import potential
from trainspot.models.potential import Potential
from trainspot.train import run
from trainspot.train.bagging import bags
from trainspot.train.base import Trainer, member_seeds


def engines_of(
    campaign: Campaign,
    folder: Path,
    foundation: Path | None = None,
    pool: Dataset | None = None,
) -> Engines:
    """The engines of a campaign, which run in this process and write below ``folder``.

    Args:
        campaign: The resolved campaign.
        folder: Existing folder; each training gets a folder inside it.
        foundation: Model file for ``start: foundation``.
        pool: The frames that an explorer draws from, in place of its file.

    Raises:
        InputError: An engine that needs AiiDA, or a pool that cannot be read.
    """
    label, train = _label(campaign), _train(campaign, folder, foundation)
    if not campaign.explore.explorer.draws_from_pool:
        return Engines(label, train, _explore(campaign))
    known = (lambda frames: label(frames)[0]) if campaign.label.labeller.looks_up else None
    return Engines(label, train, _no_dynamics, _draw(campaign, pool), known)


def _label(campaign: Campaign) -> Callable[[Dataset], tuple[Dataset, Dataset]]:
    section = campaign.label
    reference = engine(section.engine)
    if not issubclass(reference, FrameEngine):
        raise InputError(
            f"label engine '{section.engine}' needs AiiDA", hint="run the campaign instead"
        )
    labeller = reference()

    def label(frames: Dataset) -> tuple[Dataset, Dataset]:
        labelling = labeller.label(frames, section.settings)
        return labelling.labelled, labelling.failures

    return label


def _train(
    campaign: Campaign, folder: Path, foundation: Path | None
) -> Callable[[Dataset, int], Committee]:
    section = campaign.train
    trainer = run.trainer(section.engine)

    committee_bags = bags(section.bagging, section.committee_size, campaign.seed)
    start: list[Path] = [foundation] if foundation else []

    def train(dataset: Dataset, seed: int) -> Committee:
        where = folder / f"committee-{seed}"
        seeds = member_seeds(seed, section.committee_size)
        if trainer.runs_in_process:  # in this process: no start-up time
            first = [start[j % len(start)] if start else None for j in range(len(seeds))]
            frames = [bag.of(dataset) for bag in committee_bags] or [dataset] * len(seeds)
            models = [
                _here(trainer, own, section.settings, where / f"member-{s}", s, f)
                for own, s, f in zip(frames, seeds, first, strict=True)
            ]
        else:
            results = run.train_committee(
                trainer,
                dataset,
                section.settings,
                where,
                seeds=seeds,
                start=start,
                bags=committee_bags,
            )
            models = [result.model for result in results]
        run.check_differ([model.read_bytes() for model in models])
        if section.start == "previous":
            start[:] = models
        kind, dtype = trainer.model_kind, campaign.evaluate.dtype
        return [potential.load(model, kind=kind, dtype=dtype) for model in models]

    return train


def _here(
    trainer: type[Trainer],
    dataset: Dataset,
    settings: Any,
    folder: Path,
    seed: int,
    start: Path | None,
) -> Path:
    """Train one member in this process."""
    folder.mkdir(parents=True)
    trainer.write_inputs(folder, dataset, settings, seed, start=start)
    trainer.run(folder)
    return trainer.read_outputs(folder).model


def _draw(
    campaign: Campaign, pool: Dataset | None
) -> Callable[[Collection[str], int], tuple[Dataset, PoolUse]]:
    section = campaign.explore
    frames = read_pool(campaign.pools["explore"]) if pool is None else pool
    blind = frames.without_labels()

    def draw(taken: Collection[str], iteration: int) -> tuple[Dataset, PoolUse]:
        rows = section.explorer.draw(
            blind, taken, section.settings, seed=campaign.seed, iteration=iteration
        )
        return drawn(blind, rows, iteration), use_of(blind, taken)

    return draw


def _no_dynamics(_starts: Dataset, _runs: list[Run], _model: Potential) -> tuple[Dataset, Dataset]:
    raise AssertionError("the campaign draws its frames from a pool")


def _explore(
    campaign: Campaign,
) -> Callable[[Dataset, list[Run], Potential], tuple[Dataset, Dataset]]:
    section = campaign.explore
    driver = explorer(section.engine)
    if not driver.runs_in_process:
        raise InputError(
            f"explore engine '{section.engine}' needs AiiDA", hint="use explore.engine: ase"
        )

    def explore(starts: Dataset, runs: list[Run], model: Potential) -> tuple[Dataset, Dataset]:
        exploration = driver.run(starts, runs, model, section.settings)
        return exploration.explored, exploration.failures

    return explore
