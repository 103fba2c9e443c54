"""Single atoms: the reference energies of the elements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal, Self

import numpy as np
from ase.data import atomic_numbers, ground_state_magnetic_moments
from pydantic import Field, field_validator

from trainspot.augment.base import Scope, Strategy, title
from trainspot.common.elements import check_symbols
from trainspot.data.frames import Frame, Origin
from trainspot.data.isolated import is_isolated_atom
from trainspot.data.state import MOMENTS


class Isolated(Strategy):
    """One isolated atom of each element of the inputs and alloys, in a cubic box, not periodic.

    With ``spin: hund`` each atom has ``initial_magmoms``, the magnetic moment of the free atom by
    Hund's rule. The spin-polarised energy of an open shell is up to several eV lower. The label
    engine must be able to start from a magnetic moment.
    """

    scope: ClassVar[Scope] = Scope.INPUTS

    kind: Literal["isolated"] = "isolated"
    box: float = Field(
        15.0,
        gt=0,
        le=100,
        description="edge of the cubic box, Å; at least the vacuum of the augmentation",
    )
    spin: Literal["none", "hund"] = Field(
        "none",
        description="none: no magnetic moment, as in the paper; hund: start from the "
        "moment of the free atom (for quantumespresso and ASE calculators with magnetic "
        "moments)",
    )

    species: tuple[str, ...] = Field(
        (),
        description="further elements, besides those of the inputs and of alloys",
    )

    @field_validator("species")
    @classmethod
    def _elements(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        check_symbols(names)
        return names

    def beside(self, brought: Sequence[str]) -> Self:
        """Also make the atoms of these elements."""
        return self.model_copy(update={"species": tuple(sorted({*self.species, *brought}))})

    def generate(self, frames: Sequence[Frame], rng: np.random.Generator) -> Iterator[Frame]:
        """One frame per element: the isolated atom of the inputs if they have one."""
        del rng
        present = {int(f.numbers[0]): f for f in frames if is_isolated_atom(f)}
        more = np.array([atomic_numbers[name] for name in self.species], dtype=np.int64)
        for number in np.unique(np.concatenate([*(f.numbers for f in frames), more])).tolist():
            atom = present.get(number)
            if atom is not None and self.spin == "hund" and MOMENTS not in atom.arrays:
                self.note(f"{title(atom)} is an input and keeps its own spin state")
            yield atom or self._atom(number)

    def _atom(self, number: int) -> Frame:
        arrays = {}
        if self.spin == "hund":
            arrays[MOMENTS] = np.array([float(ground_state_magnetic_moments[number])])
        return Frame.make(
            [number],
            [[self.box / 2] * 3],
            np.eye(3) * self.box,
            False,
            arrays=arrays,
            origin=Origin("isolated", parameters={"box": self.box, "spin": self.spin}),
        )
