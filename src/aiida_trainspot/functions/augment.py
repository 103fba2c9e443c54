"""Calcfunctions that make frames, one for each step of a plan, and give each frame its set."""

from __future__ import annotations

from aiida.orm import Dict, Float, Int, List

from aiida_trainspot.data.pes import PESData
from aiida_trainspot.functions.decision import decision
from trainspot import split as splitting
from trainspot.augment import steps as running
from trainspot.augment.plan import parse_plan
from trainspot.augment.steps import Part, Step

_KEY = "augmentation"  # in the metadata of a node


def steps_of(plan: List) -> list[Step]:
    """The steps of a plan in the order they are run."""
    return running.steps_of(parse_plan(plan.get_list()))


@decision
def pad_inputs(dataset: PESData, vacuum: Float) -> PESData:
    """The inputs with enough vacuum, each once."""
    return _node(running.pad_inputs(dataset.dataset, vacuum.value))


@decision
def run_step(plan: List, place: Int, seed: Int, vacuum: Float, **parents: PESData) -> PESData:
    """Let one strategy work.

    Args:
        plan: The whole plan.
        place: Which of its strategies, counted from 0.
        seed: The seed of the whole plan.
        vacuum: Å along every non-periodic direction.
        parents: What it works on: ``inputs``, or what the preparing steps made, by their labels.
    """
    steps = steps_of(plan)
    step = next(step for step in steps if step.place == place.value)
    labels = running.sources_of(step, steps) or ["inputs"]
    frames = running.union(_part(parents[label]) for label in labels)
    return _node(running.run_step(step, frames, seed.value, vacuum.value))


@decision
def merge_steps(inputs: PESData, plan: List, **parts: PESData) -> dict[str, PESData | Dict]:
    """Join what all steps made, each frame once; ``report`` counts what was refused, and why.

    Args:
        inputs: What the first steps worked on.
        plan: The whole plan.
        parts: What each step made, by its label.
    """
    found = {label: _part(node) for label, node in parts.items()}
    made = running.merge(_part(inputs), steps_of(plan), found)
    report = {
        "refused": made.refused,
        "by_step": made.by_step,
        "notes": made.notes,
        "frames": len(made.dataset),
    }
    return {"dataset": PESData(made.dataset), "report": Dict(report)}


@decision
def assign_sets(dataset: PESData, fractions: List, seed: Int) -> PESData:
    """Give every frame without a set one, for good."""
    shares = tuple(fractions.get_list())
    return PESData(splitting.assign(dataset.dataset, shares, seed=seed.value))


def _node(part: Part) -> PESData:
    """One node for a part: counts and notes travel with the frames."""
    told = {"refused": dict(part.refused), "notes": list(part.notes)}
    return PESData(part.frames, metadata={_KEY: told})


def _part(node: PESData) -> Part:
    return Part(list(node), **node.metadata.get(_KEY, {}))
