"""The figures of an iteration, for the status, the report and the export.

The judgement makes a record; the end of the campaign completes the record. ``to_dict`` is an entry
of ``iterations`` in ``trainspot status --json``. ``stored`` adds the version, for nodes and files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from trainspot.common.errors import DataError
from trainspot.data.dataset import Dataset
from trainspot.data.refused import Outcome
from trainspot.judge import earlier
from trainspot.judge.novelty import Novelty
from trainspot.judge.scoring import Rates
from trainspot.judge.verdict import State
from trainspot.predictions.absolute import Absolute
from trainspot.predictions.calibration import Calibration


@dataclass(frozen=True)
class Reference:
    """The program that computed the labels.

    Attributes:
        engine: Name of the label engine.
        code: The program, ``label@computer``.
    """

    engine: str = ""
    code: str = ""


@dataclass(frozen=True)
class PoolUse:
    """The pool of an exploration, for an explorer that draws frames instead of making them.

    Attributes:
        frames: Frames in the pool, without isolated atoms.
        left: Frames that were left before this iteration chose any: neither in the dataset nor
            failed.
        rmse: RMSE of the committee mean on all explored frames by property; empty if their labels
            are not known. No decision depends on these labels.
        unflagged: Valid explored frames below all thresholds, if the labels are known.
        missed: Number of them with an error beyond the tolerance.
    """

    frames: int
    left: int
    rmse: Mapping[str, float] = field(default_factory=dict)
    unflagged: int | None = None
    missed: int | None = None


@dataclass(frozen=True)
class Work:
    """The work of the engines in an iteration.

    Attributes:
        n: Number of the iteration; the first is 1.
        labelled: Number of new labels.
        label_failures: Number of frames whose labelling failed.
        exploration_failures: Number of runs that did not reach their end.
        reference: Engine and code of the labels.
        runs: Number of runs of molecular dynamics; 0 if an earlier version did not count runs.
        broken_off: Number of runs that did not reach their end, by reason.
        pool: The pool, if frames were drawn from one.
    """

    n: int
    labelled: int
    label_failures: int
    exploration_failures: int
    reference: Reference
    runs: int = 0
    broken_off: Mapping[str, int] = field(default_factory=dict)
    pool: PoolUse | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON values only, with the version of the form."""
        return asdict(self) | {"version": earlier.VERSION}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Work:
        """The inverse of ``to_dict``; reads works of earlier versions too.

        Raises:
            DataError: The content is something else, or a newer version wrote it.
        """
        try:
            return TypeAdapter(cls).validate_python(earlier.work(content))
        except (ValueError, TypeError) as error:
            raise DataError("this is not the work of an iteration") from error


@dataclass(frozen=True)
class MemberError:
    """The error of the members of a committee; eV/atom, eV/Å or eV/Å³.

    Attributes:
        mean: RMSE, mean over the members.
        std: Standard deviation over the members.
    """

    mean: float
    std: float = 0.0


@dataclass(frozen=True)
class Prospective(Rates):
    """Success of a threshold on frames that were judged first and labelled afterwards.

    Attributes:
        audit: The rates on the audit frames alone. The batch was chosen among flagged frames, so
            its TPR is too high; the audit was drawn from all frames and is unbiased. ``None`` if
            an earlier version did not compute these rates.
    """

    audit: Rates | None = None

    @classmethod
    def of(cls, batch: Rates, audit: Rates) -> Prospective:
        """The rates of a batch and of the audit frames in the batch."""
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
    """The result of a final audit.

    Attributes:
        misses: Number of unflagged frames with an error beyond the tolerance.
        conclusion: The next step.
    """

    misses: int
    conclusion: State | None = None


@dataclass(frozen=True)
class ScreenAudit:
    """Refused frames that are labelled to see the mistakes of the screen.

    Attributes:
        drawn: Number of these frames.
        labelled: Number of frames with labels; ``None`` before the labelling.
        physical: Number of labelled frames whose forces are all within the limit of the screen.
    """

    drawn: int
    labelled: int | None = None
    physical: int | None = None

    @classmethod
    def of(cls, drawn: int, labelled: Dataset | None = None) -> ScreenAudit | None:
        """The outcome, from the labelled frames if there are any; ``None`` if none was drawn."""
        if not drawn:
            return None
        if labelled is None:
            return cls(drawn)
        outcome = Outcome.of(labelled)
        return cls(drawn, outcome.labelled, outcome.physical)


@dataclass(frozen=True)
class IterationRecord:
    """The figures of an iteration; ``None`` and empty mappings are not known (yet).

    Attributes:
        n: Number of the iteration; the first is 1.
        labelled_total: Labelled frames in the training dataset of the committee.
        labelled: New labels among these frames.
        label_failures: Frames whose labelling failed.
        exploration_failures: Runs of molecular dynamics that did not reach their end.
        reference: The program that computed the labels.
        runs: Runs of molecular dynamics; 0 or ``None``: not counted.
        broken_off: Number of runs that did not reach their end, by reason.
        pool: The pool, if frames were drawn from one; there were then no runs.
        duplicates: Explored frames that occur twice or were in the dataset before.
        sets: Labelled frames in each split.
        rmse: Errors of the members by split and property.
        absolute: Absolute errors of the committee mean by split and property.
        calibration: The threshold of each judged property.
        explored: Frames explored, duplicates included.
        refused: Frames that the screen refused, by reason.
        flagged: Valid frames beyond a threshold.
        flagged_by: Number of frames that each property and ``novelty`` flags; ``None`` if an
            earlier version did not count these frames.
        near_duplicates: Valid frames that nearly equal another frame.
        novelty: The thresholds of novelty and their data.
        selected: Frames chosen for training.
        audit: Frames drawn for the audit.
        random_choice: Whether there was no pair to find thresholds with; the choice was then
            random.
        verdict: The next step.
        common_test: RMSE of the committee on the final test frames by property.
        common_absolute: Absolute errors of the committee mean on the final test frames.
        prospective: Success of the thresholds on the new labels, by property.
        flags: Success of the flags that were raised, novelty included, on the new labels.
        final_audit: Result of a final audit.
        seconds: Wall time by stage.
        screen_audit: Outcome of the screen audit; ``None``: no refused frame was drawn.
    """

    n: int
    labelled_total: int | None = None
    labelled: int | None = None
    label_failures: int | None = None
    exploration_failures: int | None = None
    reference: Reference | None = None
    runs: int | None = None
    broken_off: Mapping[str, int] | None = None
    pool: PoolUse | None = None
    duplicates: int | None = None
    sets: Mapping[str, int] | None = None
    rmse: Mapping[str, Mapping[str, MemberError]] = field(default_factory=dict)
    absolute: Mapping[str, Mapping[str, Absolute]] | None = None
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
    common_absolute: Mapping[str, Absolute] | None = None
    prospective: Mapping[str, Prospective] | None = None
    flags: Prospective | None = None
    final_audit: FinalAudit | None = None
    seconds: Mapping[str, float] | None = None
    screen_audit: ScreenAudit | None = None

    @property
    def refusals(self) -> int | None:
        """Number of frames that the screen refused, for any reason."""
        return None if self.refused is None else sum(self.refused.values())

    @property
    def valid(self) -> int:
        """Explored frames that are new and passed the screen."""
        return (self.explored or 0) - (self.duplicates or 0) - (self.refusals or 0)

    def error(self, split: str, name: str) -> MemberError | None:
        """The error of the members in one split and property, if it was computed."""
        return self.rmse.get(split, {}).get(name)

    def to_dict(self) -> dict[str, Any]:
        """JSON values as in ``trainspot status --json``, without unknown values."""
        content = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        content["calibration"] = self.calibration or None
        return {name: _plain(value) for name, value in content.items() if value is not None}

    def stored(self) -> dict[str, Any]:
        """The content of nodes and files: ``to_dict`` and the version of the form."""
        return self.to_dict() | {"version": earlier.VERSION}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> IterationRecord:
        """The inverse of ``to_dict`` and of ``stored``; reads records of earlier versions too.

        Raises:
            DataError: The content is not a record, or a newer version wrote the record.
        """
        try:
            return _adapter().validate_python(earlier.record(content))
        except (ValueError, TypeError, AttributeError) as error:
            raise DataError("these are not the figures of an iteration") from error


def records_of(status: Mapping[str, Any]) -> list[IterationRecord]:
    """The iterations of a ``trainspot status --json``, in order.

    Raises:
        DataError: The iterations are damaged.
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
    if isinstance(value, PoolUse | ScreenAudit):
        return {name: item for name, item in asdict(value).items() if item is not None}
    if isinstance(value, Absolute | Reference | MemberError | FinalAudit):
        return _plain(asdict(value))
    return value
