"""What a strategy is: a pydantic model with ``generate``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationInfo, field_validator
from pydantic_core import PydanticKnownError

from trainspot.data.frames import Frame, Origin

GROUP: Final = "trainspot.augmentation"
"""Entry-point group of the strategies."""


class Scope(Enum):
    """Which frames a strategy works on, and when it runs."""

    PREPARE = "prepare"
    """The inputs, before all other strategies, which work on the frames of this one."""
    INPUTS = "inputs"
    """The inputs as the user gave them."""
    PREPARED = "prepared"
    """The frames that the preparing strategies made from the inputs."""
    MADE = "made"
    """The frames of all earlier strategies in the plan; the inputs if there are none."""


class Parameters(BaseModel):
    """Validated parameters: no unknown keys, no infinite numbers, immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _is_no_truth_value(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse ``yes`` in place of a number; pydantic would read 1."""
        wanted = cls.model_fields[info.field_name or ""].annotation
        if isinstance(value, bool) and wanted in (int, float):
            raise PydanticKnownError("int_type" if wanted is int else "float_type")
        return value


class Strategy(Parameters, ABC):
    """One way to make frames.

    A subclass adds ``kind: Literal["its-name"] = "its-name"`` and its parameters as described
    fields, and is registered under that name in the group ``trainspot.augmentation``.
    """

    scope: ClassVar[Scope] = Scope.PREPARED

    against_overlap: ClassVar[str] = ""
    """Advice for the user if many frames of the strategy overlap."""

    kind: str
    _notes: Counter[str] = PrivateAttr(default_factory=Counter)

    @property
    def brings(self) -> tuple[str, ...]:
        """Elements of its frames that the inputs may lack."""
        return ()

    def beside(self, brought: Sequence[str]) -> Self:
        """The same strategy as part of a plan whose strategies add these elements."""
        del brought
        return self

    @abstractmethod
    def generate(self, frames: Sequence[Frame], rng: np.random.Generator) -> Iterator[Frame]:
        """Make frames from all ``frames``; use ``child`` and, for randomness, only ``rng``.

        The caller screens the result. A ``note`` tells of each frame that was left out.
        """

    def note(self, text: str) -> None:
        """Tell the user something, once; repetitions are counted."""
        self._notes[text] += 1

    def note_molecules(self, frames: Sequence[Frame], participle: str) -> None:
        """Note how many frames a step does not change because they have no periodic direction.

        Free atoms are not counted, because nobody expects a change.
        """
        if count := sum(len(frame) > 1 and not frame.pbc.any() for frame in frames):
            self.note(f"{count} of {len(frames)} not {participle}: no periodic direction")

    def take_notes(self) -> list[str]:
        """The notes since the last call."""
        notes = [
            f"{self.kind}: {text}" + (f" ({count} times)" if count > 1 else "")
            for text, count in self._notes.items()
        ]
        self._notes.clear()
        return notes


def child(
    parent: Frame,
    strategy: str,
    *,
    positions: ArrayLike,
    cell: ArrayLike | None = None,
    pbc: Sequence[bool] | None = None,
    sites: NDArray[np.int64] | None = None,
    parameters: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> Frame:
    """A frame made from another one, with its origin; see ``Frame.handed_on``.

    Args:
        parent: The frame that was changed.
        strategy: Name of the strategy, usually its ``kind``.
        positions: Å, (m, 3).
        cell: Å, (3, 3); the parent's if left out.
        pbc: (3,); the parent's if left out.
        sites: Index of each of the m atoms in the parent, (m,); all in order if left out.
        parameters: Parameters of the change, JSON values.
        seed: Seed of the generator that made this frame alone.
    """
    return Frame.make(
        parent.numbers if sites is None else parent.numbers[sites],
        positions,
        parent.cell if cell is None else cell,
        parent.pbc if pbc is None else pbc,
        origin=Origin(strategy, parent.id, dict(parameters or {}), seed),
        **parent.handed_on(sites),
    )


def streams(
    rng: np.random.Generator, frames: Sequence[Frame], copies: int
) -> Iterator[tuple[Frame, list[int]]]:
    """The seeds of the copies of each frame; they do not depend on the other frames."""
    for frame in frames:
        own = np.random.Generator(np.random.PCG64(int(rng.integers(2**63))))
        yield frame, own.integers(2**63, size=copies).tolist()


def from_seed(seed: int) -> np.random.Generator:
    """The generator of one copy."""
    return np.random.Generator(np.random.PCG64(seed))


def title(frame: Frame) -> str:
    """A frame in a few characters for messages: ``Si8 4f2a91c0``."""
    return f"{frame.to_atoms().get_chemical_formula()} {frame.id[:8]}"
