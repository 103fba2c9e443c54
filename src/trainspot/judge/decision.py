"""The decision about one explored frame and its reasons, as values.

``FrameDecision`` is stored with every judgement. ``trainspot.cli`` writes it as a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cache
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from trainspot.common.errors import DataError
from trainspot.judge.verdict import State

NOVELTY: Final = "novelty"
"""The name of novelty among the causes of a flag."""

NOVELTY_OF: Final = {"frames": "novelty_frames", "atoms": "novelty_atoms"}
"""The names of the two measures of novelty among the counts of flagged frames."""


class Kind(StrEnum):
    """The result of the judgement for an explored frame."""

    REFUSED = "refused"
    """The screen refused the frame."""
    SCREEN_AUDIT = "screen audit"
    """The screen refused the frame; it is labelled to see the mistakes of the screen."""
    KNOWN = "known"
    """The frame was in the dataset before and was not judged."""
    SELECTED = "selected"
    """The frame is labelled for training."""
    AUDIT = "audit"
    """The frame is labelled to measure the errors that the flags miss."""
    PASSED_OVER = "not selected"
    """The frame is not labelled: it is not flagged, or other frames were chosen."""


class Objection(StrEnum):
    """Why the screen refuses a frame."""

    NON_FINITE = "non_finite"
    OVERLAP = "overlap"
    FORCE = "force"
    VOLUME = "volume"


class Way(StrEnum):
    """How a frame was chosen, or why it was passed over."""

    STRATEGY = "strategy"
    """By the selection strategy, among the flagged frames."""
    UNFITTED = "unfitted"
    """At random, because no threshold was fitted."""
    UNFLAGGED = "unflagged"
    """At random, because nothing new is flagged."""
    AUDIT = "audit"
    """At random among all valid frames."""
    SCREEN_AUDIT = "screen_audit"
    """At random among the refused frames that can be labelled."""
    FINAL_AUDIT = "final_audit"
    """At random among the frames that the committee agrees on."""
    OUTNUMBERED = "outnumbered"
    """Passed over: other candidates were chosen."""
    NEAR_DUPLICATE = "near_duplicate"
    """Passed over: the frame nearly equals another frame."""
    CAMPAIGN_ENDS = "campaign_ends"
    """Passed over: no iteration follows."""
    BUDGET_SPENT = "budget_spent"
    """Passed over: the label budget is spent."""


@dataclass(frozen=True)
class Twin:
    """A frame that nearly equals another frame.

    Attributes:
        frame: Id of the frame; in judgements of earlier versions, its first digits.
        is_known: Whether the frame was in the dataset before; else it is an explored frame.
        distance: Descriptor distance, if it was stored.
    """

    frame: str
    is_known: bool
    distance: float | None = None


@dataclass(frozen=True)
class Method:
    """How a frame was chosen, or why it was passed over.

    Attributes:
        way: Kind of choice.
        strategy: Name of the selection strategy, if a strategy chose.
        chosen: Number of chosen frames.
        among: Number of candidates.
        twin: The frame that a near-duplicate repeats.
        verdict: Verdict with which the campaign ends.
    """

    way: Way
    strategy: str | None = None
    chosen: int | None = None
    among: int | None = None
    twin: Twin | None = None
    verdict: State | None = None


@dataclass(frozen=True)
class Beyond:
    """A descriptor distance beyond its limit.

    Attributes:
        value: Distance; ``None``: infinite, because no training atom has the element of the atom.
        limit: Its limit.
        atom: Index of the atom from 0, for the distance to the training atoms of its element;
            ``None``: the distance of the whole frame to the nearest training frame.
    """

    value: float | None = None
    limit: float = 0.0
    atom: int | None = None


@dataclass(frozen=True)
class Contact:
    """Two atoms that are too close; the two are equal for an atom and its periodic image.

    Attributes:
        atoms: Their indices, from 0.
        elements: Their symbols.
    """

    atoms: tuple[int, int]
    elements: tuple[str, str]


@dataclass(frozen=True)
class FrameDecision:
    """The decision about an explored frame and its reasons.

    Attributes:
        kind: Result of the judgement.
        cause: For a valid frame, the property with the largest threshold ratio: energy, forces or
            stress. For a refused frame, the ``Objection``. Empty for a frame of the dataset.
        value: The measured value: the disagreement on that property, the distance of two atoms
            (Å), the largest force (eV/Å), or the volume per atom over that of the start frame.
        limit: The limit of ``value``.
        method: How the frame was chosen or why it was passed over; ``None`` without a choice.
        novelty: For a novel frame: its distance and limit; of two measures, that with the larger
            ratio.
        contact: The atoms of an overlap.
        force: For an overlap that a force confirmed: the largest force that a member predicts on
            one of the two atoms, and its limit, eV/Å; ``None`` for a distance below the floor, and
            in judgements of earlier versions.
        told: Sentence of an earlier version that could not be parsed.
    """

    kind: Kind
    cause: str = ""
    value: float | None = None
    limit: float | None = None
    method: Method | None = None
    novelty: Beyond | None = None
    contact: Contact | None = None
    force: Beyond | None = None
    told: str = ""

    @property
    def is_refused(self) -> bool:
        """Whether the screen refused the frame."""
        return self.kind in (Kind.REFUSED, Kind.SCREEN_AUDIT)

    @property
    def exceeds(self) -> bool:
        """Whether the value is beyond the limit."""
        return self.value is not None and self.limit is not None and self.value > self.limit

    def to_dict(self) -> dict[str, Any]:
        """JSON values only, without the fields that do not apply."""
        return _said(asdict(self))

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> FrameDecision:
        """The inverse of ``to_dict``.

        Raises:
            DataError: The content is not a decision.
        """
        try:
            return _adapter().validate_python(content)
        except ValidationError as error:
            raise DataError("this is not a decision about a frame") from error


@cache
def _adapter() -> TypeAdapter[FrameDecision]:
    return TypeAdapter(FrameDecision)


def _said(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content as plain JSON values, without values that are ``None`` or empty."""
    values: dict[str, Any] = {}
    for name, value in content.items():
        if value is None or value == "":
            continue
        if isinstance(value, Mapping):
            values[name] = _said(value)
        elif isinstance(value, StrEnum):
            values[name] = value.value
        else:
            values[name] = list(value) if isinstance(value, tuple) else value
    return values
