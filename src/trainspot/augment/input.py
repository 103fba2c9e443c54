"""The inputs themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal

import numpy as np

from trainspot.augment.base import Scope, Strategy
from trainspot.data.frames import Frame


class Input(Strategy):
    """Keep the input structures unchanged."""

    scope: ClassVar[Scope] = Scope.INPUTS

    kind: Literal["input"] = "input"

    def generate(self, frames: Sequence[Frame], rng: np.random.Generator) -> Iterator[Frame]:
        """The input frames."""
        del rng
        yield from frames
