"""Single atoms: the reference energies of the elements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from trainspot.augment.base import Scope, Strategy
from trainspot.frames import Frame, Origin


class Isolated(Strategy):
    """One atom of each element of the inputs, alone in a cubic box, not periodic."""

    scope: ClassVar[Scope] = Scope.INPUTS

    kind: Literal["isolated"] = "isolated"
    box: float = Field(15.0, gt=0, le=100, description="edge of the cubic box, Å")
    spin: Literal["none"] = Field(
        "none", description="spin state; only none, until a label engine reads moments"
    )

    def generate(self, frames: Sequence[Frame], rng: np.random.Generator) -> Iterator[Frame]:
        """One frame per element; where the inputs have such an atom already, that one."""
        del rng
        present = {int(f.numbers[0]): f for f in frames if len(f) == 1 and not f.pbc.any()}
        for number in np.unique(np.concatenate([frame.numbers for frame in frames])).tolist():
            yield present.get(number) or self._atom(number)

    def _atom(self, number: int) -> Frame:
        return Frame.make(
            [number],
            [[self.box / 2] * 3],
            np.eye(3) * self.box,
            False,
            origin=Origin("isolated", parameters={"box": self.box, "spin": self.spin}),
        )
