"""Calcfunctions of exploration: the schedule of the runs, and the results of all jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from aiida.orm import Dict, Int, Str

from aiida_trainspot.data.pes import PESData
from aiida_trainspot.data.selection import PESSelection
from aiida_trainspot.functions.base import decision
from aiida_trainspot.functions.campaign import campaign_of
from trainspot.campaign import decisions as pure
from trainspot.campaign.decisions import initial_frames
from trainspot.campaign.pool import use_of
from trainspot.common.validation import parse_settings
from trainspot.data.failure import Failure, failure_of
from trainspot.explore import frames
from trainspot.explore import schedule as scheduling
from trainspot.explore.base import explorer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trainspot.data.frames import Frame


@decision
def initial(dataset: PESData) -> PESData:
    """The frames from which explorations start."""
    return PESData(initial_frames(dataset.dataset))


def initial_already(dataset: PESData, before: PESData | None) -> PESData | None:
    """An existing node that equals the result of ``initial``, if there is one.

    Args:
        dataset: The dataset.
        before: The result of ``initial`` in an earlier iteration.
    """
    with dataset.opened() as frames:
        rows = frames.is_labelled & (frames.column("iteration") == 0)
        ids = frames.column("id")[rows]
    if rows.all():
        return dataset
    with_same_ids = before is not None and np.array_equal(before.column("id"), ids)
    return before if with_same_ids else None


@decision
def draw_member(config: Dict, iteration: Int, committee: Int) -> Int:
    """The member that drives the exploration."""
    return Int(pure.member_of(iteration.value, committee.value, campaign_of(config).seed))


@decision
def schedule(initial: PESData, plan: Dict, seed: Int, iteration: Int) -> dict[str, Dict | PESData]:
    """Draw the runs of one exploration, and select their start frames from the initial frames."""
    with initial.opened() as dataset:
        runs = scheduling.schedule(
            dataset,
            scheduling.Plan(**plan.get_dict()),
            seed.value,
            iteration=iteration.value,
        )
        starts = scheduling.start_frames(dataset, runs)
    return {"schedule": Dict(scheduling.dump(runs)), "starts": PESData(starts)}


@decision
def draw(
    engine: Str,
    settings: Dict,
    pool: PESData,
    dataset: PESData,
    failed: PESData,
    seed: Int,
    iteration: Int,
) -> dict[str, Any]:
    """Draw the frames of one exploration from a pool; see ``trainspot.explore.base.Explorer``.

    ``explored`` has the frames, as rows of the pool. There are no runs and no failures; beside the
    runs, ``schedule`` has the size of the pool and of its rest.

    Args:
        engine: Name of the explorer.
        settings: Its settings.
        pool: All frames.
        dataset: Frames that are in the dataset.
        failed: Frames that could not be labelled.
        seed: The campaign's seed.
        iteration: Number of the iteration.
    """
    source = explorer(engine.value)
    taken = [*dataset.ids, *failed.ids]
    with pool.opened() as every:
        use = use_of(every, taken)
        rows = source.draw(
            every.without_labels(),
            taken,
            parse_settings(source.Settings, settings.get_dict()),
            seed=seed.value,
            iteration=iteration.value,
        )
    return {
        "explored": PESSelection(pool, rows, iteration.value),
        "failures": PESData(),
        "schedule": Dict(scheduling.dump([]) | {"pool": {"frames": use.frames, "left": use.left}}),
        "starts": PESData(),
    }


@decision
def gather_exploration(starts: PESData, schedule: Dict, **parts: PESData) -> dict[str, PESData]:
    """Gather the results of all jobs of a schedule.

    Args:
        starts: The start frames.
        schedule: The whole schedule.
        parts: ``explored_N`` and ``failures_N`` of the jobs.
    """
    gathered = frames.gathered(
        starts.dataset,
        scheduling.parse(schedule.get_dict()),
        (f for key in sorted(parts) if key.startswith("explored") for f in parts[key].dataset),
        (f for key in sorted(parts) if key.startswith("failures") for f in parts[key].dataset),
    )
    return {"explored": PESData(gathered.explored), "failures": PESData(gathered.failures)}


def explored_already(
    starts: PESData, schedule: Dict, parts: Mapping[str, PESData]
) -> dict[str, PESData] | None:
    """The nodes of a single job, if they equal the result of ``gather_exploration``.

    Args:
        starts: The start frames.
        schedule: The whole schedule.
        parts: See ``gather_exploration``.
    """
    kinds = {name.partition("_")[0]: node for name, node in parts.items()}
    if len(parts) != 2 or kinds.keys() != {"explored", "failures"}:
        return None
    gathered = frames.gathered(
        starts.dataset,
        scheduling.parse(schedule.get_dict()),
        kinds["explored"].dataset,
        kinds["failures"].dataset,
    )
    same = gathered.explored.ids == kinds["explored"].ids
    return kinds if same and _causes(gathered.failures) == _causes(kinds["failures"]) else None


def _causes(failures: Iterable[Frame]) -> list[Failure | None]:
    return [failure_of(frame) for frame in failures]
