"""How a campaign ended, as ``trainspot status --json`` has it under ``exit``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from trainspot.common.errors import DataError
from trainspot.common.text import sentences

_DAMAGED: Final = "this is not the end of a campaign"


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a campaign ended, with a remedy.

    Attributes:
        message: The reason: one or more clauses without a full stop.
        remedy: A remedy that loses no calculation: a sentence without the full stop.
        counts: The numbers in the message, as JSON values.
    """

    message: str
    remedy: str = ""
    counts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sentences(self) -> str:
        """Reason and remedy, one sentence each."""
        return sentences(self.message, self.remedy)

    def to_dict(self) -> dict[str, Any]:
        """``message``, ``remedy`` and ``counts``."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Exit:
    """How a campaign ended.

    Attributes:
        status: Exit status; ``None`` for a campaign that was killed or crashed.
        label: The exit status in a word; for a campaign without status, its state.
        ending: Reason and remedy; ``None`` for a campaign that converged.
    """

    status: int | None = None
    label: str = ""
    ending: Ending | None = None

    @property
    def why(self) -> str:
        """Reason and remedy in sentences; empty for a campaign that converged."""
        return self.ending.sentences if self.ending else ""

    def to_dict(self) -> dict[str, Any]:
        """``exit`` of ``trainspot status --json``."""
        reason = self.ending.to_dict() if self.ending else {}
        return {"status": self.status, "label": self.label, **reason}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Exit:
        """The inverse of ``to_dict``.

        Raises:
            DataError: The content is not the end of a campaign.
        """
        if not isinstance(content, Mapping):
            raise DataError(_DAMAGED)
        try:
            values = {name: content[name] for name in ("status", "label") if name in content}
            reason = {part.name: content[part.name] for part in fields(Ending)
                      if part.name in content}  # fmt: skip
            ending = {"message": ""} | reason if reason else None
            return _adapter().validate_python({**values, "ending": ending})
        except ValidationError as error:
            raise DataError(_DAMAGED) from error


def exit_of(status: Mapping[str, Any]) -> Exit | None:
    """The end of the campaign in a ``trainspot status --json``; ``None`` before its end.

    Raises:
        DataError: The entry is damaged.
    """
    content = status.get("exit")
    return Exit.from_dict(content) if content else None


@cache
def _adapter() -> TypeAdapter[Exit]:
    return TypeAdapter(Exit)
