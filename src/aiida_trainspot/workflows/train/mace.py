"""``MaceTrainWorkChain``: one MACE member, restarted where that helps."""

from __future__ import annotations

from aiida_trainspot.calculations.mace_train import MaceTrainCalculation
from aiida_trainspot.workflows.train.member import TrainMemberWorkChain


class MaceTrainWorkChain(TrainMemberWorkChain):
    """Train one MACE model; the code is ``mace_run_train``."""

    _process_class = MaceTrainCalculation
