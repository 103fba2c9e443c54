"""Calcfunctions of exploration: what is run, and what came out of all jobs together."""

from __future__ import annotations

from aiida.orm import Dict, Int

from aiida_trainspot.data.pes import PESData
from aiida_trainspot.functions.decision import decision
from trainspot.explore import frames
from trainspot.explore import schedule as scheduling


@decision
def schedule(initial: PESData, plan: Dict, seed: Int, iteration: Int) -> dict[str, Dict | PESData]:
    """Draw the runs of one exploration, and take their start frames out of the initial set."""
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
def gather_exploration(starts: PESData, schedule: Dict, **parts: PESData) -> dict[str, PESData]:
    """Join the results of all jobs of a schedule.

    Args:
        starts: The start frames.
        schedule: The whole schedule.
        parts: ``explored_N`` and ``failures_N`` of the jobs.
    """
    found = frames.gathered(
        starts.dataset,
        scheduling.parse(schedule.get_dict()),
        (f for key in sorted(parts) if key.startswith("explored") for f in parts[key].dataset),
        (f for key in sorted(parts) if key.startswith("failures") for f in parts[key].dataset),
    )
    return {"explored": PESData(found.explored), "failures": PESData(found.failures)}
