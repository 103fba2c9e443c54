"""Calcfunctions that make frames, one for each step of a plan, and assign each frame a split."""

from __future__ import annotations

from aiida.orm import Dict, Float, Int, List

from aiida_trainspot.data.pes import PESData
from aiida_trainspot.functions.base import decision
from trainspot import split as splitting
from trainspot.augment import steps as running
from trainspot.augment.input import Input
from trainspot.augment.plan import parse_plan
from trainspot.augment.steps import Part, Step

_KEY = "augmentation"  # in the metadata of a node


def steps_of(plan: List) -> list[Step]:
    """The steps of a plan in the order of their execution."""
    return running.steps_of(parse_plan(plan.get_list()))


@decision
def pad_inputs(dataset: PESData, vacuum: Float) -> PESData:
    """The input structures with enough vacuum, each once."""
    return _node(running.pad_inputs(dataset.dataset, vacuum.value))


@decision
def run_step(plan: List, place: Int, seed: Int, vacuum: Float, **parents: PESData) -> PESData:
    """Make the frames of one strategy.

    Args:
        plan: The whole plan.
        place: Index of the strategy in the plan, from 0.
        seed: The seed of the whole plan.
        vacuum: Å along every non-periodic direction.
        parents: ``inputs``, or the frames of the preparing steps under the labels of the steps.
    """
    steps = steps_of(plan)
    step = next(step for step in steps if step.place == place.value)
    labels = running.sources_of(step, steps) or ["inputs"]
    frames = running.union(_part(parents[label]) for label in labels)
    return _node(running.run_step(step, frames, seed.value, vacuum.value))


@decision
def merge_steps(
    inputs: PESData, plan: List, fractions: List, seed: Int, **parts: PESData
) -> dict[str, PESData | Dict]:
    """Merge the frames of all steps and assign splits; ``report`` counts refused frames.

    Args:
        inputs: The input structures of the first steps.
        plan: The whole plan.
        fractions: Shares of the training, validation and test splits.
        seed: Seed of the random split.
        parts: The frames of each step, by its label.
    """
    merged = running.merge(
        _part(inputs), steps_of(plan), {label: _part(node) for label, node in parts.items()}
    )
    frames = splitting.assign(merged.dataset, tuple(fractions.get_list()), seed=seed.value)
    report = {
        "refused": merged.refused,
        "by_step": merged.by_step,
        "notes": merged.notes,
        "frames": len(frames),
    }
    return {"dataset": PESData(frames), "report": Dict(report)}


def is_passed_on(step: Step, inputs: PESData) -> bool:
    """Whether a step returns the frames of a node unchanged, so that the node can be passed on."""
    return type(step.strategy) is Input and _KEY not in inputs.metadata


def _node(part: Part) -> PESData:
    """One node for the frames of a step; the metadata keep its counts and notes."""
    summary = {"refused": dict(part.refused), "notes": list(part.notes)}
    return PESData(part.frames, metadata={_KEY: summary})


def _part(node: PESData) -> Part:
    return Part(list(node), **node.metadata.get(_KEY, {}))
