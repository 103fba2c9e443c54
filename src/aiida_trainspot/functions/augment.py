"""Calcfunctions that make frames, one for each step of a plan, and give each frame its set."""

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
def merge_steps(
    inputs: PESData, plan: List, fractions: List, seed: Int, **parts: PESData
) -> dict[str, PESData | Dict]:
    """Join what all steps made, each frame once and in its set; ``report`` counts refusals.

    Args:
        inputs: What the first steps worked on.
        plan: The whole plan.
        fractions: Shares of the training, validation and test sets.
        seed: Of the draw of the sets.
        parts: What each step made, by its label.
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
    """Whether a step makes nothing but the frames of a node, which then stands for its part."""
    return isinstance(step.strategy, Input) and _KEY not in inputs.metadata


def _node(part: Part) -> PESData:
    """One node for a part: counts and notes travel with the frames."""
    summary = {"refused": dict(part.refused), "notes": list(part.notes)}
    return PESData(part.frames, metadata={_KEY: summary})


def _part(node: PESData) -> Part:
    return Part(list(node), **node.metadata.get(_KEY, {}))
