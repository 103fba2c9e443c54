"""The figures of an iteration: made when it is judged, completed at the end, shown everywhere.

``to_dict`` is an entry of ``iterations`` in ``trainspot status --json``; ``stored`` is the same
with its version, as nodes and files keep it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from trainspot.common.errors import DataError
from trainspot.judge import earlier
from trainspot.judge.calibrate import Calibration
from trainspot.judge.novelty import Novelty
from trainspot.judge.scoring import Rates
from trainspot.judge.verdict import State


@dataclass(frozen=True)
class Reference:
    """What computed the labels.

    Attributes:
        engine: Name of the label engine.
        code: The program, ``label@computer``.
    """

    engine: str = ""
    code: str = ""


@dataclass(frozen=True)
class Work:
    """What the engines did in an iteration.

    Attributes:
        n: Number of the iteration; the first is 1.
        labelled: New labels.
        label_failures: Frames that could not be labelled.
        exploration_failures: Runs that did not reach their end.
        reference: Engine and code of the labels.
        runs: Runs of molecular dynamics; 0 where an earlier version did not count them.
        broken_off: How many runs did not reach their end for each reason.
    """

    n: int
    labelled: int
    label_failures: int
    exploration_failures: int
    reference: Reference
    runs: int = 0
    broken_off: Mapping[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON values only."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Work:
        """The inverse of ``to_dict``.

        Raises:
            DataError: This is something else.
        """
        try:
            return TypeAdapter(cls).validate_python(dict(content))
        except (ValidationError, TypeError) as error:
            raise DataError("this is not the work of an iteration") from error


@dataclass(frozen=True)
class MemberError:
    """The error of the members of a committee; eV/atom, eV/Å or eV/Å³.

    Attributes:
        mean: RMSE, mean over the members.
        std: Standard deviation of it.
    """

    mean: float
    std: float = 0.0


@dataclass(frozen=True)
class Prospective(Rates):
    """How a threshold fared on frames that were judged first and labelled afterwards.

    Attributes:
        audit: The same on the audit frames alone. The batch was chosen among flagged frames, which
            raises its TPR; the audit was drawn from all and is unbiased. ``None`` where an earlier
            version did not measure it.
    """

    audit: Rates | None = None

    @classmethod
    def of(cls, batch: Rates, audit: Rates) -> Prospective:
        """The rates of a batch and of the audit in it."""
        return cls(
            **{entry.name: getattr(batch, entry.name) for entry in fields(Rates)}, audit=audit
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON values only."""
        content = super().to_dict()
        content.pop("audit")
        return content | ({"audit": self.audit.to_dict()} if self.audit else {})


@dataclass(frozen=True)
class FinalAudit:
    """What a final audit found.

    Attributes:
        misses: Unflagged frames that err beyond the tolerance.
        conclusion: What follows.
    """

    misses: int
    conclusion: State | None = None


@dataclass(frozen=True)
class IterationRecord:
    """The figures of an iteration; ``None`` and empty mappings are not known (yet).

    Attributes:
        n: Its number; the first is 1.
        labelled_total: Labelled frames of the dataset its committee was trained on.
        labelled: New labels among them.
        label_failures: Frames that could not be labelled.
        exploration_failures: Runs of molecular dynamics that did not reach their end.
        reference: What computed the labels.
        runs: Runs of molecular dynamics; 0 or ``None``: not counted.
        broken_off: How many runs did not reach their end, by reason.
        duplicates: Explored frames that were met before, or were known already.
        sets: Labelled frames in each set.
        rmse: Errors of the members by set and property.
        calibration: The threshold of each judged property.
        explored: Frames explored, duplicates included.
        refused: Frames that the screen refused, by reason.
        flagged: Valid frames beyond a threshold.
        flagged_by: How many frames each property and ``novelty`` flags; ``None`` where an earlier
            version did not count them.
        near_duplicates: Valid frames that nearly equal another one.
        novelty: The thresholds of novelty and what they rest on.
        selected: Frames chosen to teach the committee.
        audit: Frames chosen to measure it.
        random_choice: Whether no threshold was fitted, so that the choice was random.
        verdict: What follows.
        common_test: RMSE of the committee on the final test frames by property.
        prospective: How the thresholds fared on the new labels, by property.
        final_audit: What a final audit found.
        seconds: Wall time by stage.
    """

    n: int
    labelled_total: int | None = None
    labelled: int | None = None
    label_failures: int | None = None
    exploration_failures: int | None = None
    reference: Reference | None = None
    runs: int | None = None
    broken_off: Mapping[str, int] | None = None
    duplicates: int | None = None
    sets: Mapping[str, int] | None = None
    rmse: Mapping[str, Mapping[str, MemberError]] = field(default_factory=dict)
    calibration: Mapping[str, Calibration] = field(default_factory=dict)
    explored: int | None = None
    refused: Mapping[str, int] | None = None
    flagged: int | None = None
    flagged_by: Mapping[str, int] | None = None
    near_duplicates: int | None = None
    novelty: Novelty | None = None
    selected: int | None = None
    audit: int | None = None
    random_choice: bool | None = None
    verdict: State | None = None
    common_test: Mapping[str, float] | None = None
    prospective: Mapping[str, Prospective] | None = None
    final_audit: FinalAudit | None = None
    seconds: Mapping[str, float] | None = None

    @property
    def refusals(self) -> int | None:
        """Frames that the screen refused, for whatever reason."""
        return None if self.refused is None else sum(self.refused.values())

    @property
    def valid(self) -> int:
        """Explored frames that are new and passed the screen."""
        return (self.explored or 0) - (self.duplicates or 0) - (self.refusals or 0)

    def error(self, split: str, name: str) -> MemberError | None:
        """The error of the members in one set and property, if it was measured."""
        return self.rmse.get(split, {}).get(name)

    def to_dict(self) -> dict[str, Any]:
        """JSON values as in ``trainspot status --json``; what is not known is left out."""
        content = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        content["calibration"] = self.calibration or None
        return {name: _plain(value) for name, value in content.items() if value is not None}

    def stored(self) -> dict[str, Any]:
        """What nodes and files keep: ``to_dict`` and the version of its form."""
        return self.to_dict() | {"version": earlier.VERSION}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> IterationRecord:
        """The inverse of ``to_dict`` and of ``stored``; what earlier versions made is read as well.

        Raises:
            DataError: These are no figures of an iteration, or a newer version wrote them.
        """
        try:
            return _adapter().validate_python(earlier.record(content))
        except (ValidationError, TypeError, AttributeError) as error:
            raise DataError("these are not the figures of an iteration") from error


def records_of(status: Mapping[str, Any]) -> list[IterationRecord]:
    """The iterations of a ``trainspot status --json``, in order.

    Raises:
        DataError: They are damaged.
    """
    entries: Iterable[Mapping[str, Any]] = status.get("iterations") or ()
    return sorted(map(IterationRecord.from_dict, entries), key=lambda record: record.n)


@cache
def _adapter() -> TypeAdapter[IterationRecord]:
    return TypeAdapter(IterationRecord)


def _plain(value: Any) -> Any:
    """JSON values only."""
    if isinstance(value, Calibration | Novelty | Prospective):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, State):
        return value.value
    if isinstance(value, Reference | MemberError | FinalAudit):
        return _plain(asdict(value))
    return value
