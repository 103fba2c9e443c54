"""Running a list of strategies: ``parse_plan``, ``augment``, and the check of the inputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pydantic import ValidationError

from trainspot import plugins
from trainspot.augment.base import GROUP, Scope, Strategy, title
from trainspot.dataset import Dataset
from trainspot.errors import InputError, UnknownNameError
from trainspot.frames import Frame
from trainspot.geometry import describe_contact, overlapping, with_vacuum, worst_contact
from trainspot.seeds import generator

DEFAULT_PLAN: Final[list[dict[str, Any]]] = [
    {"kind": "input"},
    {"kind": "supercell"},
    {"kind": "rattle"},
    {"kind": "isolated"},
]
"""What is done where a campaign does not say otherwise."""

VACUUM: Final = 15.0
"""Å of vacuum along every non-periodic direction."""


@dataclass(frozen=True)
class Augmented:
    """What an augmentation made.

    Attributes:
        dataset: The frames that were kept, no two the same.
        refused: How many were not kept, by reason.
        notes: What the user should know, one line each.
    """

    dataset: Dataset
    refused: dict[str, int]
    notes: list[str]


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
        known = ", ".join(plugins.names(GROUP))
        raise InputError("a strategy needs a 'kind'", where=where, hint=f"known: {known}")
    model: type[Strategy] = plugins.load(GROUP, kind, where=where)
    try:
        return model.model_validate(dict(item))
    except ValidationError as error:
        raise _explained(error, model, where) from None


def _explained(error: ValidationError, model: type[Strategy], where: str) -> InputError:
    """The first validation error in one line, with the nearest name for an unknown key."""
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    if first["type"] == "extra_forbidden":
        fields = model.model_fields
        for part in path[:-1]:
            nested: Any = fields[part].default_factory
            fields = getattr(nested, "model_fields", {})
        return UnknownNameError("key", path[-1], fields, where=where)
    name = ".".join([model.model_fields["kind"].default, *path])
    text = first["msg"].removeprefix("Value error, ").replace("Input should", "must")
    return InputError(f"{name} {text[0].lower()}{text[1:]}", where=where)


def check_inputs(inputs: Iterable[Frame], where: str = "") -> None:
    """Refuse inputs that no strategy could use.

    Args:
        inputs: The frames the user gave.
        where: The file they come from, if they come from one.

    Raises:
        InputError: There are none, or atoms of one overlap; the message names the structure.
    """
    number = 0
    for number, frame in enumerate(inputs, start=1):
        contact = worst_contact(frame)
        if contact is not None:
            place = f"structure {number} ({frame.to_atoms().get_chemical_formula()})"
            raise InputError(
                f"overlapping atoms: {describe_contact(frame, contact)}",
                where=f"{where}, {place}" if where else place,
                hint="move or remove one of them",
            )
    if not number:
        raise InputError("no structures", where=where, hint="give at least one")


def augment(
    inputs: Dataset, plan: Sequence[Strategy], seed: int, *, vacuum: float = VACUUM
) -> Augmented:
    """Run the strategies on the inputs.

    Strategies that prepare (supercells) come first, on every input; the rest works on their
    result, in the order of the plan. Every frame gets enough vacuum and passes the overlap screen
    before it is kept. The same seed gives the same frames.

    Args:
        inputs: The structures to start from; labelled ones are kept exactly as they are.
        plan: Strategies, see ``parse_plan``. Empty: the inputs alone.
        seed: Everything random follows from it.
        vacuum: Å along every non-periodic direction; too little is enlarged, more stays.

    Raises:
        InputError: See ``check_inputs``; or ``vacuum`` is negative.
    """
    if not 0 <= vacuum < float("inf"):
        raise InputError(f"vacuum of {vacuum} Å", hint="give zero or more")
    check_inputs(inputs)
    kept = _Kept(vacuum)
    given = [kept.padded(frame) for frame in inputs.merge()]
    if len(given) < len(inputs):
        kept.notes.append(f"{len(inputs) - len(given)} inputs are copies of another one")
    steps = list(plan) or parse_plan([{"kind": "input"}])
    preparing = [step for step in steps if step.scope is Scope.PREPARE]
    prepared = [frame for step in preparing for frame in kept.run(step, given, seed)]
    parents = prepared if preparing else given
    for step in steps:
        if step.scope is not Scope.PREPARE:
            kept.run(step, given if step.scope is Scope.INPUTS else parents, seed)
    return Augmented(Dataset.from_frames(kept.frames.values()), dict(kept.refused), kept.notes)


@dataclass
class _Kept:
    """Frames that passed, by id; and what did not."""

    vacuum: float
    frames: dict[str, Frame] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    runs: Counter[str] = field(default_factory=Counter)

    def run(self, strategy: Strategy, parents: Sequence[Frame], seed: int) -> list[Frame]:
        """Keep what a strategy makes of its parents, and return it."""
        # By its place among its kind: another strategy in the plan changes no random numbers.
        rng = generator(seed, "augment", strategy.kind, self.runs[strategy.kind])
        self.runs[strategy.kind] += 1
        made = [
            kept
            for frame in strategy.generate(parents, rng)
            if (kept := self._screened(self.padded(frame))) is not None
        ]
        self.notes += strategy.take_notes()
        return made

    def _screened(self, frame: Frame) -> Frame | None:
        known = self.frames.get(frame.id)
        if known is frame:  # passed on unchanged, not made a second time
            return frame
        if known is not None:
            self.refused["duplicate"] += 1
            return None
        if overlapping(frame):
            self.refused["overlap"] += 1
            return None
        self.frames[frame.id] = frame
        return frame

    def padded(self, frame: Frame) -> Frame:
        """The frame with enough vacuum; a labelled one is never changed."""
        if frame.labels:
            return frame
        wide = with_vacuum(frame, self.vacuum)
        if wide is frame or frame.origin.strategy != "input":
            return wide
        self.notes.append(f"input {title(frame)}: vacuum enlarged to {self.vacuum} Å")
        return wide.with_(
            info=frame.info,
            origin=replace(frame.origin, parent=frame.id, parameters={"vacuum": self.vacuum}),
        )
