"""Running a list of strategies: ``parse_plan``, ``augment``, and the check of the inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError

from trainspot.augment import steps as running
from trainspot.augment.base import GROUP, Strategy
from trainspot.augment.steps import VACUUM, Augmented, Part
from trainspot.common import plugins
from trainspot.common.errors import InputError
from trainspot.common.validation import explained
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.geometry import OVERLAP_FACTOR, OVERLAP_FLOOR, describe_contact, worst_contact
from trainspot.plausibility.lengths import MORE_DIGITS, TWICE

DEFAULT_PLAN: Final[list[dict[str, Any]]] = [
    {"kind": "supercell"},
    {"kind": "rattle"},
    {"kind": "cluster"},
    {"kind": "slab"},
    {"kind": "swap"},
    {"kind": "isolated"},
    {"kind": "input"},
]
"""The default plan of a campaign: all strategies, as in the paper.

Rattle includes strain and vacancies; alloy has no default, because its elements must be chosen.
"""


def parse_plan(items: Sequence[Mapping[str, Any]], where: str = "") -> list[Strategy]:
    """Strategies from dictionaries with ``kind`` and its parameters.

    Raises:
        UnknownNameError: No such kind or parameter; the message offers the nearest.
        InputError: A parameter out of its bounds.
    """
    return [_parsed(item, where) for item in items]


def _parsed(item: Mapping[str, Any], where: str) -> Strategy:
    kind = item.get("kind")
    if not isinstance(kind, str):
        kinds = ", ".join(plugins.names(GROUP))
        raise InputError("a strategy needs a 'kind'", where=where, hint=f"known: {kinds}")
    model: type[Strategy] = plugins.load(GROUP, kind, where=where)
    try:
        return model.model_validate(dict(item))
    except ValidationError as error:
        raise explained(error, model, where=where, kind="key", name=kind) from None


def check_inputs(inputs: Iterable[Frame], where: str = "") -> None:
    """Refuse inputs that no strategy can use.

    Two atoms of a structure overlap below ``OVERLAP_FACTOR``, those of a frame with labelled forces
    only below ``OVERLAP_FLOOR``: a reference calculation has seen the frame.

    Args:
        inputs: The frames the user gave.
        where: The file they come from, if they come from one.

    Raises:
        InputError: No inputs, or overlapping atoms in one; the message names the structure.
    """
    number = 0
    for number, frame in enumerate(inputs, start=1):
        is_labelled = frame.labels.forces is not None
        contact = worst_contact(frame, OVERLAP_FLOOR if is_labelled else OVERLAP_FACTOR)
        if contact is not None:
            place = f"structure {number} ({frame.to_atoms().get_chemical_formula()})"
            raise InputError(
                f"overlapping atoms: {describe_contact(frame, contact)}",
                where=f"{where}, {place}" if where else place,
                hint=MORE_DIGITS if contact.distance < TWICE else "move or remove one of them",
            )
    if not number:
        raise InputError("no structures", where=where, hint="give at least one")


def augment(
    inputs: Dataset, plan: Sequence[Strategy], seed: int, *, vacuum: float = VACUUM
) -> Augmented:
    """Run the strategies on the inputs.

    Preparing strategies (supercells) run first, on every input; the others work on the prepared
    frames, in the order of the plan. Every frame gets enough vacuum and is kept only if it passes
    the overlap screen. The same seed gives the same frames.

    Args:
        inputs: The structures to start from; labelled ones are kept exactly as they are.
        plan: Strategies, see ``parse_plan``. Empty: the inputs alone.
        seed: Determines all random numbers.
        vacuum: Å along every non-periodic direction; too little is enlarged, more stays.

    Raises:
        InputError: See ``check_inputs``; or ``vacuum`` is negative.
    """
    check_inputs(inputs)
    padded = running.pad_inputs(inputs, vacuum)
    steps = running.steps_of(plan)
    parts: dict[str, Part] = {}
    for step in steps:
        sources = [parts[label] for label in running.sources_of(step, steps)] or [padded]
        parts[step.label] = running.run_step(step, running.union(sources), seed, vacuum)
    return running.merge(padded, steps, parts)
