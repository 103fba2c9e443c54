"""``ToyTrainCalculation``: one toy member, for tests and rehearsals."""

from __future__ import annotations

from typing import ClassVar

from aiida_trainspot.calculations.train import TrainCalculation


class ToyTrainCalculation(TrainCalculation):
    """Train one toy model; the code is ``trainspot``."""

    TRAINER: ClassVar[str] = "toy"
