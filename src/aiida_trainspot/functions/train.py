"""Calcfunctions of training: the training frames, the settings and the metrics."""

from __future__ import annotations

from aiida.orm import Dict, Str

from aiida_trainspot.data.pes import PESData
from aiida_trainspot.functions.base import decision
from trainspot.campaign import decisions as pure
from trainspot.common.errors import InputError
from trainspot.train.run import trainer


@decision
def training_set(dataset: PESData) -> PESData:
    """The dataset with all levels of theory treated as one."""
    return PESData(pure.training_set(dataset.dataset, mix_theories=True))


@decision
def collect_metrics(**members: Dict) -> Dict:
    """``{"member_0": metrics, …}``."""
    return Dict({name: node.get_dict() for name, node in sorted(members.items())})


@decision
def half_batch(engine: Str, settings: Dict) -> Dict:
    """The same settings with half the batch; see ``Trainer.with_half_batch``."""
    smaller = trainer(engine.value).with_half_batch(settings.get_dict())
    if smaller is None:
        raise InputError("the batch cannot be halved", where="train.settings")
    return Dict(smaller)
