"""Decisions about thresholds: pairs, calibration, and how earlier thresholds fared."""

from __future__ import annotations

from aiida.orm import Dict, Int, SinglefileData

from aiida_trainspot.data.pes import PESData
from aiida_trainspot.functions.decision import decision
from aiida_trainspot.functions.files import read_predictions
from trainspot.judge.calibrate import Calibration
from trainspot.judge.calibrate import calibrate as calibrate_pairs
from trainspot.judge.judgement import Judgement
from trainspot.judge.pairs import Pairs, collect_pairs
from trainspot.judge.scoring import prospective as prospective_rates
from trainspot.judge.settings import CalibrateSettings, Tolerance


@decision
def validation_pairs(dataset: PESData, predictions: SinglefileData) -> Dict:
    """Pairs of the validation frames, predicted by the committee that did not train on them."""
    frames = dataset.dataset.subset("validation")
    return Dict(collect_pairs(frames, read_predictions(predictions)).to_dict())


@decision
def audit_pairs(dataset: PESData, predictions: SinglefileData, judgement: Dict) -> Dict:
    """Pairs of a judgement's audit frames, predicted before any committee trained on them."""
    audit = Judgement.from_dict(judgement.get_dict()).audit
    frames = dataset.dataset
    here = frames.select([identity for identity in frames.ids if identity in set(audit)])
    return Dict(collect_pairs(here, read_predictions(predictions), trained=()).to_dict())


@decision
def calibrate(tolerance: Dict, settings: Dict, seed: Int, **pairs: Dict) -> Dict:
    """Calibrate on all the pairs given, by the names of their inputs in alphabetical order."""
    every = Pairs.concatenate([Pairs.from_dict(pairs[k].get_dict()) for k in sorted(pairs)])
    found = calibrate_pairs(
        every,
        Tolerance(**tolerance.get_dict()),
        CalibrateSettings(**settings.get_dict()),
        seed.value,
    )
    return Dict({name: calibration.to_dict() for name, calibration in found.items()})


@decision
def prospective(pairs: Dict, calibrations: Dict, tolerance: Dict) -> Dict:
    """How the thresholds fared on frames labelled since; see ``scoring.prospective``."""
    known = {name: Calibration.from_dict(c) for name, c in calibrations.get_dict().items()}
    rates = prospective_rates(
        Pairs.from_dict(pairs.get_dict()), known, Tolerance(**tolerance.get_dict())
    )
    return Dict({name: rate.to_dict() for name, rate in rates.items()})
