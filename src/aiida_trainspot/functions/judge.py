"""Decisions about frames: the judgement of an exploration, and the end of a final audit."""

from __future__ import annotations

from aiida.orm import Dict, Int, SinglefileData, Str

from aiida_trainspot.data.pes import PESData
from aiida_trainspot.functions.decision import decision
from aiida_trainspot.functions.files import read_predictions
from trainspot import judge as judging
from trainspot.judge.calibrate import Calibration
from trainspot.judge.pairs import Pairs
from trainspot.judge.settings import JudgeSettings, StopSettings, Tolerance


@decision
def judge(
    explored: PESData,
    predictions: SinglefileData,
    calibrations: Dict,
    known: PESData,
    starts: PESData,
    settings: Dict,
    iteration: Int,
    seed: Int,
) -> dict[str, Dict | PESData]:
    """Judge an exploration: ``judgement`` says why, ``selected`` are the frames to label next."""
    frames = explored.dataset
    with known.opened() as dataset:
        known_ids = dataset.ids
    judgement = judging.judge(
        frames,
        read_predictions(predictions),
        {name: Calibration.from_dict(c) for name, c in calibrations.get_dict().items()},
        known_ids,
        JudgeSettings(**settings.get_dict()),
        iteration=iteration.value,
        seed=seed.value,
        starts=starts.dataset,
    )
    chosen = PESData(frames.select(judgement.chosen))
    return {"judgement": Dict(judgement.to_dict()), "selected": chosen}


@decision
def conclude(pairs: Dict, tolerance: Dict, settings: Dict, iteration: Int) -> Str:
    """The state after a final audit, see ``trainspot.judge.conclude``."""
    state = judging.conclude(
        Pairs.from_dict(pairs.get_dict()),
        Tolerance(**tolerance.get_dict()),
        iteration=iteration.value,
        settings=StopSettings(**settings.get_dict()),
    )
    return Str(state.value)
