"""The decisions of a campaign as calcfunctions, so that each stands in the provenance graph."""

from __future__ import annotations

from typing import Any

from aiida.orm import Bool, Dict, Int, SinglefileData

from aiida_trainspot.data.pes import PESData
from aiida_trainspot.functions.decision import decision
from aiida_trainspot.functions.files import predicted_ids, read_predictions, written_predictions
from trainspot.campaign import decisions as pure
from trainspot.campaign.loop import initial_frames, rules_of
from trainspot.campaign.record import IterationRecord, Work
from trainspot.config.models import Campaign
from trainspot.judge.calibrate import Calibration
from trainspot.judge.judgement import Judgement
from trainspot.judge.pairs import Pairs


def campaign_of(config: Dict) -> Campaign:
    """The validated campaign of a ``config`` node."""
    return Campaign.model_validate(config.get_dict())


def calibrations_of(node: Dict) -> dict[str, Calibration]:
    """The calibration of each property in a ``calibration`` node."""
    return {name: Calibration.from_dict(found) for name, found in node.get_dict().items()}


def judgement_of(node: Dict) -> Judgement:
    """The judgement in a ``judgement`` node, whichever version stored it."""
    return Judgement.from_dict(node.get_dict())


def record_of(node: Dict) -> IterationRecord:
    """The figures in a ``record`` node, whichever version stored it."""
    return IterationRecord.from_dict(node.get_dict())


@decision
def initial(dataset: PESData) -> PESData:
    """The frames that explorations start from."""
    return PESData(initial_frames(dataset.dataset))


@decision
def draw_member(config: Dict, iteration: Int, committee: Int) -> Int:
    """Which member drives the exploration."""
    return Int(pure.member_of(iteration.value, committee.value, campaign_of(config).seed))


@decision
def training_set(dataset: PESData) -> PESData:
    """The dataset with all levels of theory counted as one."""
    return PESData(pure.training_set(dataset.dataset, mix_theories=True))


@decision
def evaluation_set(dataset: PESData, explored: PESData) -> PESData:
    """What a new committee must see."""
    return PESData(pure.evaluation_set(dataset.dataset, explored.dataset))


@decision
def comparison_set(
    dataset: PESData, predictions: SinglefileData, everything: Bool
) -> dict[str, Any]:
    """Which final test frames, or which of all labelled ones, a committee has yet to predict.

    ``unseen`` holds them, ``compared`` counts them and those it predicted when it was judged.
    """
    frames = pure.comparison_set(dataset.dataset, everything=everything.value)
    new = frames.without(predicted_ids(predictions))
    return {"unseen": PESData(new), "compared": Int(len(frames))}


@decision
def complete_predictions(
    dataset: PESData,
    everything: Bool,
    predictions: SinglefileData,
    added: SinglefileData | None = None,
) -> SinglefileData:
    """A committee's predictions for the frames it is compared on, old and added ones together."""
    frames = pure.comparison_set(dataset.dataset, everything=everything.value)
    parts = [read_predictions(node) for node in (predictions, added) if node is not None]
    return written_predictions(pure.completed(frames, *parts))


@decision
def add_failed(known: PESData, new: PESData) -> PESData:
    """All frames that could not be labelled so far."""
    return PESData(known.dataset.merge(new.dataset))


@decision
def calibrate(
    dataset: PESData, predictions: SinglefileData, audit_pairs: Dict, config: Dict
) -> dict[str, Dict]:
    """Thresholds from held-out frames; see ``trainspot.campaign.decisions.thresholds``."""
    pairs, calibrations = pure.thresholds(
        dataset.dataset,
        read_predictions(predictions),
        Pairs.from_dict(audit_pairs.get_dict()),
        rules_of(campaign_of(config)),
    )
    thresholds = {name: found.to_dict() for name, found in calibrations.items()}
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
) -> dict[str, Any]:
    """Screen, flag, select; see ``trainspot.campaign.decisions.decide``.

    ``judgement`` says why, ``dataset`` has the chosen frames joined, ``record`` holds the figures.
    """
    frames, seen = dataset.dataset, explored.dataset
    predicted, calibrations = read_predictions(predictions), calibrations_of(calibration)
    done = Work.from_dict(work.get_dict())
    found = pure.decide(
        frames,
        seen,
        starts.dataset,
        predicted,
        calibrations,
        failed.dataset,
        rules_of(campaign_of(config)),
        done.n,
    )
    figures = pure.record(frames, seen, predicted, calibrations, found.judgement, done)
    return {
        "dataset": PESData(found.dataset),
        "judgement": Dict(found.judgement.to_dict()),
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
    found = pure.score(
        dataset.dataset,
        read_predictions(predictions),
        calibrations_of(calibration),
        judgement_of(judgement),
        Pairs.from_dict(audit_pairs.get_dict()),
        rules_of(campaign_of(config)),
        iteration.value,
    )
    return {"score": Dict(found.to_dict()), "audit_pairs": Dict(found.audit_pairs.to_dict())}


@decision
def finish_record(
    record: Dict, dataset: PESData, predictions: SinglefileData, score: Dict | None = None
) -> Dict:
    """A record with what only later iterations know."""
    test = dataset.dataset.labelled().subset("test")
    scored = None if score is None else pure.Score.from_dict(score.get_dict())
    complete = pure.finished_record(record_of(record), scored, test, read_predictions(predictions))
    return Dict(complete.stored())
