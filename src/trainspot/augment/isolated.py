"""Single atoms: the reference energies of the elements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal

import numpy as np
from ase.data import ground_state_magnetic_moments
from pydantic import Field

from trainspot.augment.base import Scope, Strategy
from trainspot.frames import Frame, Origin


class Isolated(Strategy):
    """One atom of each element of the inputs, alone in a cubic box, not periodic."""

    scope: ClassVar[Scope] = Scope.INPUTS

    kind: Literal["isolated"] = "isolated"
    box: float = Field(15.0, gt=0, le=100, description="edge of the cubic box, Å")
    spin: Literal["none", "hund"] = Field(
        "none", description="hund: start from the magnetic moment of the free atom"
    )

    def generate(self, frames: Sequence[Frame], rng: np.random.Generator) -> Iterator[Frame]:
        """One frame per element; where the inputs have such an atom already, that one."""
        del rng
        present = {int(f.numbers[0]): f for f in frames if len(f) == 1 and not f.pbc.any()}
        for number in np.unique(np.concatenate([frame.numbers for frame in frames])).tolist():
            yield present.get(number) or self._atom(number)

    def _atom(self, number: int) -> Frame:
        moment = float(ground_state_magnetic_moments[number])
        return Frame.make(
            [number],
            [[self.box / 2] * 3],
            np.eye(3) * self.box,
            False,
            arrays={} if self.spin == "none" else {"initial_magmoms": np.array([moment])},
            origin=Origin("isolated", parameters={"box": self.box, "spin": self.spin}),
        )
