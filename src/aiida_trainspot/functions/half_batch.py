"""The decision to train a committee with smaller batches."""

from __future__ import annotations

from aiida.orm import Dict, Str

from aiida_trainspot.functions.decision import decision
from trainspot.common.errors import InputError
from trainspot.train.run import trainer


@decision
def half_batch(engine: Str, settings: Dict) -> Dict:
    """The same settings with half the batch; see ``Trainer.with_half_batch``."""
    smaller = trainer(engine.value).with_half_batch(settings.get_dict())
    if smaller is None:
        raise InputError("the batch cannot be halved", where="train.settings")
    return Dict(smaller)
