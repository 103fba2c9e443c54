"""The trainer ``ridge`` in AiiDA: the job of one member, and the work chain around it."""

from __future__ import annotations

from typing import ClassVar

from aiida_trainspot.calculations.train import TrainCalculation
from aiida_trainspot.workflows.train.member import TrainMemberWorkChain


class RidgeTrainCalculation(TrainCalculation):
    """Train one member; the code is ``trainspot-ridge``.

    Raise ``CACHE_VERSION`` when ``write_inputs`` or ``read_outputs`` change what they do: jobs of
    before are then not taken from the cache any more.
    """

    TRAINER: ClassVar[str] = "ridge"
    CACHE_VERSION: ClassVar[int] = 1


class RidgeTrainWorkChain(TrainMemberWorkChain):
    """Train one member, going on and trying again where that helps."""

    _process_class = RidgeTrainCalculation
