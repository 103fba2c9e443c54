"""Why a frame failed: its labelling, or the run that started from it.

The record is part of the metadata of the frame, so every file and node with frames keeps it. Only
this module knows its form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from trainspot.data.frames import Frame

KEY: Final = "failure"
"""Name of the record in the metadata of a frame and in the journal of a labelling run."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a frame has no label, or why a run from it did not reach its end.

    Attributes:
        reason: One line.
        exit_status: Exit status of the failed process, if there was one.
        trajectory: The run that failed; ``None`` for a failed labelling.
    """

    reason: str
    exit_status: int | None = None
    trajectory: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON values only; without ``trajectory`` for a failed labelling."""
        content = asdict(self)
        if self.trajectory is None:
            del content["trajectory"]
        return content

    @classmethod
    def from_dict(cls, content: object) -> Failure:
        """The inverse of ``to_dict``; what is missing or of another type is left empty.

        A file of another program may have anything under this name, and it must stay readable.
        """
        fields = content if isinstance(content, Mapping) else {}
        reason, status = fields.get("reason"), fields.get("exit_status")
        trajectory = fields.get("trajectory")
        return cls(
            reason if isinstance(reason, str) else "",
            status if isinstance(status, int) else None,
            trajectory if isinstance(trajectory, str) else None,
        )


def failure_of(frame: Frame) -> Failure | None:
    """The failure of a frame; ``None`` if the frame has no record of one."""
    return Failure.from_dict(frame.info[KEY]) if KEY in frame.info else None


def reason_of(frame: Frame) -> str:
    """The reason of the failure of a frame; empty if the frame has no record of one."""
    failure = failure_of(frame)
    return failure.reason if failure else ""


def with_failure(frame: Frame, failure: Failure) -> Frame:
    """The frame with a failure, in place of an earlier one."""
    return frame.with_(info={**frame.info, KEY: failure.to_dict()})


def without_failure(frame: Frame) -> Frame:
    """The frame without the record of a failure."""
    return frame.with_(info={name: value for name, value in frame.info.items() if name != KEY})
