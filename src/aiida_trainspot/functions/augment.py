"""Calcfunctions that make frames and give each its set."""

from __future__ import annotations

from aiida.orm import Dict, Float, Int, List

from aiida_trainspot.data.pes import PESData
from aiida_trainspot.functions.decision import decision
from trainspot import split as splitting
from trainspot.augment import plan as plans


@decision
def augment(dataset: PESData, plan: List, seed: Int, vacuum: Float) -> dict[str, PESData | Dict]:
    """Run a list of augmentation strategies; ``report`` counts what was refused, and why."""
    steps = plans.parse_plan(plan.get_list())
    made = plans.augment(dataset.dataset, steps, seed.value, vacuum=vacuum.value)
    report = {"refused": made.refused, "notes": made.notes, "frames": len(made.dataset)}
    return {"dataset": PESData(made.dataset), "report": Dict(report)}


@decision
def assign_sets(dataset: PESData, fractions: List, seed: Int) -> PESData:
    """Give every frame without a set one, for good."""
    shares = tuple(fractions.get_list())
    return PESData(splitting.assign(dataset.dataset, shares, seed=seed.value))
