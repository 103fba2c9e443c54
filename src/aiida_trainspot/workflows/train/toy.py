"""``ToyTrainWorkChain``: one toy member, for tests and rehearsals."""

from __future__ import annotations

from aiida_trainspot.calculations.toy_train import ToyTrainCalculation
from aiida_trainspot.workflows.train.member import TrainMemberWorkChain


class ToyTrainWorkChain(TrainMemberWorkChain):
    """Train one toy model; the code is ``trainspot``."""

    _process_class = ToyTrainCalculation
