"""Errors that say in one line what happened, where, and what to do about it."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


class TrainspotError(Exception):
    """Base of every error this project raises on purpose.

    Args:
        what: What is wrong, one clause, no full stop.
        where: The place: a file, ``file:line``, a key, a frame id.
        hint: What to do about it.
    """

    exit_code: int = 1

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        """Keep the three parts and join them into the one-line message."""
        self.what = what
        self.where = where
        self.hint = hint
        message = f"{where}: {what}" if where else what
        # Messages of other programs may have several lines; ours has one.
        super().__init__(" ".join((f"{message}; {hint}" if hint else message).split()))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by state: subclasses have constructors of their own, and workers send errors."""
        return _restored, (type(self), self.args, self.__dict__)


def _restored(
    cls: type[TrainspotError], args: tuple[Any, ...], state: dict[str, Any]
) -> TrainspotError:
    error = cls.__new__(cls, *args)
    error.__dict__.update(state)
    return error


class InputError(TrainspotError):
    """The user's input cannot be used. Nothing has been written."""

    exit_code = 2


class DataError(InputError):
    """A dataset or predictions file is damaged, foreign or contradictory."""


class UnknownNameError(InputError):
    """A name that does not exist; the message offers the nearest existing name."""

    def __init__(self, kind: str, name: str, known: Iterable[str], *, where: str = "") -> None:
        """Offer the nearest of the ``known`` names."""
        self.name = name
        choices = sorted(known)
        near = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(choices) or 'none'}"
        super().__init__(f"unknown {kind} '{name}'", where=where, hint=hint)


class MissingExtraError(InputError):
    """A known feature whose optional dependency is not installed.

    Args:
        feature: What is missing.
        extra: The extra that installs it; empty if the package itself requires it.
        package: The package of the extra.
    """

    def __init__(self, feature: str, extra: str = "", *, package: str = "trainspot") -> None:
        """Name the feature and the pip line that installs it."""
        requirement = f"'{package}[{extra}]'" if extra else package
        super().__init__(f"{feature} is not installed", hint=f"run: pip install {requirement}")


class ContractError(InputError):
    """An implementation behind a seam lacks what its base class asks for."""


class RunError(TrainspotError):
    """Something that was started correctly failed while running."""


class TrainingError(RunError):
    """A training failed; ``exit_status`` is the code AiiDA users see (contract: 303 to 311)."""

    exit_status: int = 303


class OutputMissingError(TrainingError):
    """A program ended without its output file."""

    exit_status = 303


class OutputUnreadableError(TrainingError):
    """A program wrote a file that cannot be read."""

    exit_status = 304


class TrainingDivergedError(TrainingError):
    """The loss of a training became infinite or not a number."""

    exit_status = 305


class NonFiniteError(RunError):
    """A model predicted infinite or not-a-number values."""

    exit_status: int = 306
