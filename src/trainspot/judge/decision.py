"""What was decided about one explored frame, and why, as values; words are made where it is told.

``FrameDecision`` is stored with every judgement. ``trainspot.cli.decisions`` says it in a sentence.
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
"""What novelty is called among the causes of a flag."""


class Kind(StrEnum):
    """What became of an explored frame."""

    REFUSED = "refused"
    """The screen did not let it pass."""
    KNOWN = "known"
    """It was in the dataset before, so it was not judged."""
    SELECTED = "selected"
    """It is labelled to teach the committee."""
    AUDIT = "audit"
    """It is labelled to measure what the flags miss."""
    PASSED_OVER = "not selected"
    """It is not labelled: it is not flagged, or others were chosen."""


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
    FINAL_AUDIT = "final_audit"
    """At random among the frames that the committee agrees on."""
    OUTNUMBERED = "outnumbered"
    """Passed over: others of the candidates were chosen."""
    NEAR_DUPLICATE = "near_duplicate"
    """Passed over: it nearly equals another frame."""
    CAMPAIGN_ENDS = "campaign_ends"
    """Passed over: no iteration follows."""
    BUDGET_SPENT = "budget_spent"
    """Passed over: the campaign may pay for no more labels."""


@dataclass(frozen=True)
class Twin:
    """A frame that another one nearly equals.

    Attributes:
        frame: Its id, or the first digits of it in judgements of earlier versions.
        is_known: Whether it was in the dataset before; else it was explored as well.
        distance: Descriptor distance, where it was kept.
    """

    frame: str
    is_known: bool
    distance: float | None = None


@dataclass(frozen=True)
class Method:
    """How a frame was chosen, or why it was passed over.

    Attributes:
        way: In general.
        strategy: Name of the selection strategy, where one chose.
        chosen: Frames that were chosen.
        among: Candidates they were chosen from.
        twin: What a near-duplicate repeats.
        verdict: With what verdict the campaign ends.
    """

    way: Way
    strategy: str | None = None
    chosen: int | None = None
    among: int | None = None
    twin: Twin | None = None
    verdict: State | None = None


@dataclass(frozen=True)
class Beyond:
    """A value beyond its limit, in the same unit."""

    value: float
    limit: float


@dataclass(frozen=True)
class Contact:
    """Two atoms that are too close; of an atom and its own image both are the same.

    Attributes:
        atoms: Their indices, from 0.
        elements: Their symbols.
    """

    atoms: tuple[int, int]
    elements: tuple[str, str]


@dataclass(frozen=True)
class FrameDecision:
    """What was decided about an explored frame, and on what grounds.

    Attributes:
        kind: What became of it.
        cause: Of a valid frame the property whose disagreement stands out most: energy, forces or
            stress. Of a refused one the ``Objection``. Empty for a frame that was known.
        value: What was measured: the disagreement on that property; or the distance of two atoms
            (Å), the largest force (eV/Å), or the volume per atom over that of the start frame.
        limit: What ``value`` was compared with.
        method: How it was chosen or why it was passed over; ``None`` where nothing was to choose.
        novelty: Descriptor distance to the nearest training frame and its limit, of a novel frame.
        contact: The atoms of an overlap.
        told: What an earlier version said of it, where that could not be taken apart.
    """

    kind: Kind
    cause: str = ""
    value: float | None = None
    limit: float | None = None
    method: Method | None = None
    novelty: Beyond | None = None
    contact: Contact | None = None
    told: str = ""

    @property
    def exceeds(self) -> bool:
        """Whether the value is beyond the limit."""
        return self.value is not None and self.limit is not None and self.value > self.limit

    def to_dict(self) -> dict[str, Any]:
        """JSON values only; what does not apply is left out."""
        return _said(asdict(self))

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> FrameDecision:
        """The inverse of ``to_dict``.

        Raises:
            DataError: This is something else.
        """
        try:
            return _adapter().validate_python(content)
        except ValidationError as error:
            raise DataError("this is not what was decided about a frame") from error


@cache
def _adapter() -> TypeAdapter[FrameDecision]:
    return TypeAdapter(FrameDecision)


def _said(content: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is ``None`` or empty, and with plain JSON values."""
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
