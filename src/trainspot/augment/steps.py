"""A plan step by step: ``pad_inputs``, ``run_step`` for each of ``steps_of``, ``merge``.

``plan.augment`` runs all steps at once. The work chain runs each step as a calculation of its own
and makes the same frames.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from trainspot.augment import periodicity
from trainspot.augment.base import Scope, Strategy, title
from trainspot.augment.input import Input
from trainspot.common.errors import InputError
from trainspot.common.seeds import generator
from trainspot.common.text import counted
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.geometry import overlapping, with_vacuum

VACUUM: Final = 15.0
"""Å of vacuum along every non-periodic direction."""


_MANY: Final = 0.15
"""Share of overlapping frames above which a note suggests other parameters."""


@dataclass(frozen=True)
class Augmented:
    """The result of an augmentation.

    Attributes:
        dataset: The frames that were kept, no two the same.
        refused: Number of refused frames, by reason.
        notes: Notes for the user, one line each.
        by_step: ``refused`` of each step that refused any frame, by its label.
    """

    dataset: Dataset
    refused: dict[str, int]
    notes: list[str]
    by_step: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """A strategy of a plan.

    Attributes:
        strategy: The strategy.
        place: Its position in the plan, from 0.
        number: Number of earlier strategies of the same kind. It determines the random numbers,
            the place does not: a strategy more in the plan does not change those of others.
    """

    strategy: Strategy
    place: int
    number: int

    @property
    def label(self) -> str:
        """Kind and place, unique in the plan: ``rattle_3``."""
        kind = re.sub(r"[^A-Za-z0-9]+", "_", self.strategy.kind).strip("_")
        return f"{kind}_{self.place + 1}"

    @property
    def prepares(self) -> bool:
        """Whether the other steps work on its frames instead of the inputs."""
        return self.strategy.scope is Scope.PREPARE


@dataclass(frozen=True)
class Part:
    """The result of one step: frames that passed the screen, each once.

    Attributes:
        frames: In the order of generation.
        refused: Number of refused frames, by reason.
        notes: Notes for the user, one line each.
    """

    frames: Sequence[Frame]
    refused: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()


def steps_of(plan: Sequence[Strategy]) -> list[Step]:
    """The steps of a plan in the order of execution: preparing steps come first.

    An empty plan passes the inputs on.
    """
    met: Counter[str] = Counter()
    steps = []
    brought = sorted({element for strategy in plan for element in strategy.brings})
    for place, strategy in enumerate(list(plan) or [Input()]):
        steps.append(Step(strategy.beside(brought), place, met[strategy.kind]))
        met[strategy.kind] += 1
    return sorted(steps, key=lambda step: not step.prepares)


def pad_inputs(inputs: Dataset, vacuum: float = VACUUM) -> Part:
    """The inputs with enough vacuum and without copies; labelled inputs are never changed.

    Args:
        inputs: The structures the user gave.
        vacuum: Å along every non-periodic direction.

    Raises:
        InputError: ``vacuum`` is negative or not finite.
    """
    if not 0 <= vacuum < float("inf"):
        raise InputError(f"vacuum of {vacuum} Å", hint="give zero or more")
    notes: list[str] = []
    frames: Sequence[Frame] = [_padded(frame, vacuum, notes) for frame in inputs.merge()]
    if len({frame.id for frame in frames}) < len(frames):  # they differed in their vacuum alone
        frames = list(Dataset.from_frames(frames).merge())
    if len(frames) < len(inputs):
        left_out = counted(len(inputs) - len(frames), "input")
        notes.append(f"{left_out} left out, because they equal another input")
    if text := periodicity.note(inputs):
        notes.append(f"input {text}")
    return Part(frames, notes=notes)


def changes_inputs(inputs: Dataset, vacuum: float = VACUUM) -> bool:
    """Whether ``pad_inputs`` gives other frames than the inputs: copies, or too little vacuum."""
    return len(set(inputs.ids)) < len(inputs) or any(
        not frame.labels and with_vacuum(frame, vacuum) is not frame for frame in inputs
    )


def sources_of(step: Step, steps: Sequence[Step]) -> list[str]:
    """Labels of the steps whose frames a step works on; none where it works on the inputs."""
    if step.strategy.scope is Scope.PREPARED:
        return [other.label for other in steps if other.prepares]
    if step.strategy.scope is Scope.MADE:
        return [other.label for other in steps if other.prepares or other.place < step.place]
    return []


def union(parts: Iterable[Part]) -> list[Frame]:
    """The frames of some parts, each once, in order of first appearance."""
    frames: dict[str, Frame] = {}
    for part in parts:
        for frame in part.frames:
            frames.setdefault(frame.id, frame)
    return list(frames.values())


def run_step(step: Step, parents: Sequence[Frame], seed: int, vacuum: float = VACUUM) -> Part:
    """Run a strategy and screen its frames.

    Args:
        step: The strategy, with its place in the plan.
        parents: The frames that the strategy works on, see ``Scope``.
        seed: The seed of the whole plan.
        vacuum: Å along every non-periodic direction.
    """
    strategy, notes, kept = step.strategy, list[str](), _Kept()
    overlaps = 0
    originals = {id(frame) for frame in parents}  # screened before; the same objects, if passed on
    rng = generator(seed, "augment", strategy.kind, step.number)
    for unpadded in strategy.generate(parents, rng):
        frame = _padded(unpadded, vacuum, notes)
        original = id(frame) in originals
        if original or frame.id in kept.frames or not overlapping(frame):
            kept.add(frame, original=original)
        else:
            overlaps += 1
    refused = {"overlap": overlaps, "duplicate": kept.duplicates}
    notes += strategy.take_notes()
    if overlaps and overlaps >= _MANY * (overlaps + len(kept.frames)):
        text = f"{strategy.kind}: {overlaps} of {overlaps + len(kept.frames)} frames overlapped"
        notes.append("; ".join(filter(None, (text, strategy.against_overlap))))
    return Part(list(kept.frames.values()), _counted(refused), notes)


def merge(padded: Part, steps: Sequence[Step], parts: Mapping[str, Part]) -> Augmented:
    """All frames of all steps, each once, in the order of the steps.

    A frame that equals an input is replaced by the input, with its labels. Frames that a step
    passed on unchanged do not count as duplicates.

    Args:
        padded: Result of ``pad_inputs``.
        steps: See ``steps_of``.
        parts: Result of each step, by its label.
    """
    inputs = {frame.id: frame for frame in padded.frames}
    prepared: dict[str, Frame] = {}
    generated: dict[str, Frame] = {}
    kept, notes = _Kept(), list(padded.notes)
    by_step: dict[str, dict[str, int]] = {}
    for step in steps:
        part, before = parts[step.label], kept.duplicates
        parents = {Scope.PREPARED: prepared, Scope.MADE: generated}.get(
            step.strategy.scope
        ) or inputs
        for frame in part.frames:
            passed_on = _same_history(frame, parents.get(frame.id))
            if passed_on and parents is not inputs:
                continue  # kept already with the step that made it
            kept.add(inputs.get(frame.id, frame), original=passed_on)
        frames = {frame.id: frame for frame in part.frames}
        generated |= frames
        if step.prepares:
            prepared |= frames
        refused = Counter(part.refused)
        refused.update(duplicate=kept.duplicates - before)
        by_step |= {step.label: _counted(refused)} if refused.total() else {}
        notes += part.notes
    total = sum((Counter(counts) for counts in by_step.values()), Counter[str]())
    return Augmented(Dataset.from_frames(kept.frames.values()), dict(total), notes, by_step)


@dataclass
class _Kept:
    """Frames by id, in order of first appearance; counts generated and passed-on frames."""

    frames: dict[str, Frame] = field(default_factory=dict)
    _generated: Counter[str] = field(default_factory=Counter)
    _originals: set[str] = field(default_factory=set)

    def add(self, frame: Frame, *, original: bool) -> None:
        """Keep a frame; an original replaces a generated frame with the same id."""
        if original:
            self._originals.add(frame.id)
            self.frames[frame.id] = frame
        else:
            self._generated[frame.id] += 1
            self.frames.setdefault(frame.id, frame)

    @property
    def duplicates(self) -> int:
        """Number of generated frames that equal an earlier frame or an original."""
        return self._generated.total() - len(self._generated.keys() - self._originals)


def _counted(refused: Mapping[str, int]) -> dict[str, int]:
    return {reason: count for reason, count in refused.items() if count}


def _same_history(frame: Frame, twin: Frame | None) -> bool:
    """Whether two frames of one geometry are the same frame, not two equal results."""
    if twin is None:
        return False
    mine, theirs = frame.origin, twin.origin
    return (mine.strategy, mine.parent, mine.seed, mine.trajectory, mine.iteration) == (
        theirs.strategy,
        theirs.parent,
        theirs.seed,
        theirs.trajectory,
        theirs.iteration,
    )


def _padded(frame: Frame, vacuum: float, notes: list[str]) -> Frame:
    """The frame with enough vacuum; a labelled frame is never changed."""
    if frame.labels:
        return frame
    wide = with_vacuum(frame, vacuum)
    if wide is frame or frame.origin.strategy != "input":
        return wide
    notes.append(f"input {title(frame)}: vacuum enlarged to {vacuum} Å")
    return wide.with_(
        info=frame.info,
        origin=replace(frame.origin, parent=frame.id, parameters={"vacuum": vacuum}),
    )
