"""``MaceTrainCalculation``: ``mace_run_train`` trains one MACE member."""

from __future__ import annotations

from typing import ClassVar

from aiida_trainspot.calculations.train import TrainCalculation


class MaceTrainCalculation(TrainCalculation):
    """Train one MACE model; the code is ``mace_run_train``."""

    TRAINER: ClassVar[str] = "mace"
