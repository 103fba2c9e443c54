"""The decisions of a campaign as calcfunctions, which record them in the provenance graph."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from aiida.orm import Dict, Int, SinglefileData

from aiida_trainspot.data.pes import PESData
from aiida_trainspot.data.predictions import read_predictions
from aiida_trainspot.functions.base import decision
from trainspot.campaign import decisions as pure
from trainspot.campaign.pool import compared
from trainspot.campaign.record import IterationRecord, Work
from trainspot.campaign.rules import rules_of
from trainspot.config.models import Campaign
from trainspot.judge.judgement import Judgement
from trainspot.judge.pairs import Pairs
from trainspot.predictions.calibration import Calibration


def campaign_of(config: Dict) -> Campaign:
    """The validated campaign of a ``config`` node.

    A campaign of a version that compared whole frames only continues to do so.
    """
    content = config.get_dict()
    if "select" in content:
        content["select"] = {"novelty_of": "frames", **content["select"]}
    return Campaign.model_validate(content)


def calibrations_of(node: Dict) -> dict[str, Calibration]:
    """The calibration of each property in a ``calibration`` node."""
    return {name: Calibration.from_dict(values) for name, values in node.get_dict().items()}


def judgement_of(node: Dict) -> Judgement:
    """The judgement in a ``judgement`` node of any version."""
    return Judgement.from_dict(node.get_dict())


def record_of(node: Dict) -> IterationRecord:
    """The figures in a ``record`` node of any version."""
    return IterationRecord.from_dict(node.get_dict())


@decision
def add_failed(known: PESData, new: PESData) -> PESData:
    """All frames that could not be labelled so far."""
    return PESData(known.dataset.merge(new.dataset))


@decision
def add_chosen(dataset: PESData, chosen: PESData) -> PESData:
    """The dataset with the last chosen frames, which have no labels."""
    return PESData(dataset.dataset.merge(chosen.dataset))


@decision
def calibrate(
    dataset: PESData, predictions: SinglefileData, audit_pairs: Dict, config: Dict
) -> dict[str, Dict]:
    """Fit thresholds to held-out frames; see ``trainspot.campaign.decisions.thresholds``."""
    pairs, calibrations = pure.thresholds(
        dataset.dataset,
        read_predictions(predictions),
        Pairs.from_dict(audit_pairs.get_dict()),
        rules_of(campaign_of(config)),
    )
    thresholds = {name: calibration.to_dict() for name, calibration in calibrations.items()}
    return {"pairs": Dict(pairs.to_dict()), "calibration": Dict(thresholds)}


@decision
def judge(
    dataset: PESData,
    explored: PESData,
    starts: PESData,
    predictions: SinglefileData,
    calibration: Dict,
    failed: PESData,
    config: Dict,
    work: Dict,
    reference: PESData | None = None,
) -> dict[str, Any]:
    """Screen, flag, select; see ``trainspot.campaign.decisions.decide``.

    ``judgement`` has the reasons, ``chosen`` the frames to label, ``record`` the figures.
    ``reference`` has labels of explored frames, which enter the figures only.
    """
    frames, seen = dataset.dataset, explored.dataset
    predicted, calibrations = read_predictions(predictions), calibrations_of(calibration)
    work_done, campaign = Work.from_dict(work.get_dict()), campaign_of(config)
    use = work_done.pool
    outcome = pure.decide(
        frames,
        seen,
        starts.dataset,
        predicted,
        calibrations,
        failed.dataset,
        rules_of(campaign),
        work_done.n,
        use.left if use else None,
    )
    if use is not None and reference is not None:
        known = reference.select(set(reference.ids).intersection(seen.ids))
        use = compared(use, known, predicted, outcome.judgement, campaign.tolerance)
        work_done = replace(work_done, pool=use)
    figures = pure.record(frames, seen, predicted, calibrations, outcome.judgement, work_done)
    return {
        "chosen": PESData(outcome.chosen),
        "judgement": Dict(outcome.judgement.to_dict()),
        "record": Dict(figures.stored()),
    }


@decision
def score(
    dataset: PESData,
    predictions: SinglefileData,
    calibration: Dict,
    judgement: Dict,
    audit_pairs: Dict,
    config: Dict,
    iteration: Int,
) -> dict[str, Dict]:
    """Compare a judgement with the labels it led to; see ``trainspot.campaign.decisions.score``."""
    outcome = pure.score(
        dataset.dataset,
        read_predictions(predictions),
        calibrations_of(calibration),
        judgement_of(judgement),
        Pairs.from_dict(audit_pairs.get_dict()),
        rules_of(campaign_of(config)),
        iteration.value,
    )
    return {"score": Dict(outcome.to_dict()), "audit_pairs": Dict(outcome.audit_pairs.to_dict())}


@decision
def finish_record(
    record: Dict, dataset: PESData, predictions: SinglefileData, score: Dict | None = None
) -> Dict:
    """A record with the figures that only later iterations can compute."""
    test = dataset.dataset.labelled().subset("test")
    scored = None if score is None else pure.Score.from_dict(score.get_dict())
    complete = pure.finished_record(record_of(record), scored, test, read_predictions(predictions))
    return Dict(complete.stored())
