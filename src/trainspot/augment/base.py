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
    """Which frames a strategy is given, and when."""

    PREPARE = "prepare"
    """The inputs, before anybody else; its frames take their place for the rest."""
    INPUTS = "inputs"
    """The inputs as the user gave them."""
    PREPARED = "prepared"
    """What the preparing strategies made of the inputs."""
    MADE = "made"
    """What all strategies before it in the plan made; the inputs if there are none."""


class Parameters(BaseModel):
    """Validated parameters: nothing unknown, nothing infinite, never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _is_no_truth_value(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse ``yes`` where a number is wanted, which pydantic takes for 1."""
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
    """What to try where many of its frames overlap."""

    kind: str
    _notes: Counter[str] = PrivateAttr(default_factory=Counter)

    @property
    def brings(self) -> tuple[str, ...]:
        """Elements that its frames may have and the inputs need not."""
        return ()

    def beside(self, brought: Sequence[str]) -> Self:
        """The same strategy in a plan whose strategies bring these elements."""
        del brought
        return self

    @abstractmethod
    def generate(self, frames: Sequence[Frame], rng: np.random.Generator) -> Iterator[Frame]:
        """Make frames from all ``frames``; use ``child`` and, for randomness, only ``rng``.

        What comes out is screened by the caller. A frame that cannot be treated is left out with
        a ``note``.
        """

    def note(self, text: str) -> None:
        """Tell the user something, once; repetitions are counted."""
        self._notes[text] += 1

    def note_molecules(self, frames: Sequence[Frame], participle: str) -> None:
        """Tell how many frames a step leaves as they are because nothing of them is periodic.

        Free atoms are not counted: nobody expects it of them.
        """
        if count := sum(len(frame) > 1 and not frame.pbc.any() for frame in frames):
            self.note(f"{count} of {len(frames)} not {participle}: no periodic direction")

    def take_notes(self) -> list[str]:
        """What was noted since the last call."""
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
    """A frame made from another one, which knows where it comes from; see ``Frame.handed_on``.

    Args:
        parent: The frame it was made from.
        strategy: Name of the strategy, usually its ``kind``.
        positions: Å, (m, 3).
        cell: Å, (3, 3); the parent's if left out.
        pbc: (3,); the parent's if left out.
        sites: For each of the m atoms the parent's atom it comes from; all in order if left out.
        parameters: What was done, JSON values.
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
    """For each frame the seeds of its copies; a frame's do not depend on what others need."""
    for frame in frames:
        own = np.random.Generator(np.random.PCG64(int(rng.integers(2**63))))
        yield frame, own.integers(2**63, size=copies).tolist()


def from_seed(seed: int) -> np.random.Generator:
    """The generator of one copy."""
    return np.random.Generator(np.random.PCG64(seed))


def title(frame: Frame) -> str:
    """A frame in a few characters for messages: ``Si8 4f2a91c0``."""
    return f"{frame.to_atoms().get_chemical_formula()} {frame.id[:8]}"
