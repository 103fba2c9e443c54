"""From the node of a running or ended campaign to the plain data of a report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aiida.common.links import LinkType
from aiida.orm import CalcFunctionNode, Dict, SinglefileData

from aiida_trainspot.data.pes import PESData
from aiida_trainspot.data.predictions import read_predictions
from aiida_trainspot.functions.campaign import calibrations_of, campaign_of, judgement_of
from aiida_trainspot.results.retries import sentences
from aiida_trainspot.results.status import Stage, stages_of, status
from aiida_trainspot.setup.demo_pseudos import FAMILY
from aiida_trainspot.workflows.label.base import engine_workchain
from aiida_trainspot.workflows.once import children, is_replaced
from trainspot.campaign.record import records_of
from trainspot.data.dataset import Dataset
from trainspot.judge.pairs import Pairs
from trainspot.judge.space import domain_of
from trainspot.judge.why import Past
from trainspot.label.base import merged
from trainspot.predictions.calibration import Calibration
from trainspot.report.findings.data import IterationData, ReportData
from trainspot.split import assign

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiida.orm import ProcessNode, WorkChainNode

    from trainspot.predictions.domain import Domain

NOTHING: Final = Dataset.from_frames([])
DEMONSTRATION: Final = (
    "The reference labels are of demonstration quality: their pseudopotentials were generated to "
    "show how a campaign works. Do not use this potential for research."
)


def collect(node: WorkChainNode) -> ReportData:
    """The data of a report about a campaign.

    While the campaign runs, an iteration has the pairs of its calibration and the predictions of
    its judgement; at the end, the predictions for the final test frames.

    Args:
        node: A ``TrainsPotWorkChain``.

    Raises:
        DataError: A file in the provenance is damaged.
    """
    report = status(node)
    config = node.inputs.config.get_dict() if "config" in node.inputs else {}
    report["tolerance"] = {k: v for k, v in (config.get("tolerance") or {}).items() if v}
    report["calibrate"] = config.get("calibrate") or {}
    report["notes"] = [DEMONSTRATION] if _is_demonstration(config) else []
    report["notes"] += sentences(report)
    pairs = _during(node, "pairs") | _returned(node, "pairs")
    predictions = _evaluated(node) | _returned(node, "predictions")
    iterations = [
        IterationData(
            record.n,
            read_predictions(predictions[record.n]) if record.n in predictions else None,
            Pairs.from_dict(pairs[record.n].get_dict()) if record.n in pairs else None,
            record.calibration,
        )
        for record in records_of(report)
    ]
    return ReportData(report, latest_dataset(node), iterations, explored(node))


def explored(node: WorkChainNode) -> Dataset | None:
    """All frames of the explorations so far, each once; ``None`` before the first."""
    parts = [
        stage.node.outputs.explored.dataset
        for stage in stages_of(node)
        if stage.name == "explore" and "explored" in stage.node.outputs
    ]
    if not parts:
        return None
    frames = Dataset.concatenate(parts)
    return frames.select(dict.fromkeys(frames.ids))  # a pool shows a frame in many iterations


def latest_dataset(node: WorkChainNode) -> Dataset:
    """All frames of a campaign with all finished labels, also after a failure.

    The result is the final dataset, the dataset of the last labelling, or the input. Labels of a
    labelling that runs, was killed or crashed are merged into it. The frames labelled last have the
    splits that the campaign would assign.
    """
    stages = list(stages_of(node))
    dataset = node.outputs.dataset.dataset if "dataset" in node.outputs else _latest(node, stages)
    labelling = next((s.node for s in reversed(stages) if s.name == "label"), None)
    if labelling is not None and "labelled" not in labelling.outputs:
        frames = Dataset.from_frames([]).merge(dataset)
        new = _labelled_in(labelling).without(frames.labelled().ids)
        dataset = merged(frames, new.select(dict.fromkeys(new.ids)), NOTHING)
    return _with_splits(dataset, node)


def _latest(node: WorkChainNode, stages: list[Stage]) -> Dataset:
    """The last dataset of a stage, or the input, merged with the frames chosen later."""
    chosen: list[PESData] = []
    for stage in reversed(stages):
        outputs = stage.node.outputs
        for name in ("labelled", "dataset"):
            if name in outputs and isinstance(outputs[name], PESData):
                return outputs[name].merge(*chosen) if chosen else outputs[name].dataset
        if stage.name == "judge" and "chosen" in outputs:
            chosen.append(outputs.chosen)
    return node.inputs.dataset.merge(*chosen) if chosen else node.inputs.dataset.dataset


def _labelled_in(stage: ProcessNode) -> Dataset:
    """The frames that the engine of a labelling stage has labelled so far."""
    if "engine" not in stage.inputs:
        return NOTHING
    engine = engine_workchain(stage.inputs.engine.value)
    started = children(stage, "engine").values()
    return Dataset.concatenate([NOTHING, *(engine.labelled_in(child) for child in started)])


def _with_splits(dataset: Dataset, node: WorkChainNode) -> Dataset:
    """The dataset with the splits that the campaign would assign to labelled frames."""
    lacking = (dataset.column("split") == 0) & dataset.is_labelled
    if not lacking.any() or "config" not in node.inputs:
        return dataset
    config = node.inputs.config.get_dict()
    if not {"split", "seed"} <= config.keys():
        return dataset
    return assign(dataset, config["split"]["fractions"], seed=config["seed"])


def history(node: WorkChainNode) -> list[Past]:
    """All judged iterations, from the inputs and outputs of their judgements."""
    iterations: dict[int, Past] = {}
    for stage in stages_of(node):
        if stage.name != "judge" or not stage.node.is_finished_ok:
            continue
        inputs = stage.node.inputs
        iterations[stage.iteration] = Past(
            n=stage.iteration,
            explored=inputs.explored.dataset,
            starts=inputs.starts.dataset,
            known=inputs.dataset.dataset,
            predictions=read_predictions(inputs.predictions),
            calibrations=calibrations_of(inputs.calibration),
            judgement=judgement_of(stage.node.outputs.judgement),
            descriptor=campaign_of(inputs.config).select.descriptor,
        )
    return [iterations[n] for n in sorted(iterations)]


def failures(node: WorkChainNode) -> Dataset:
    """All frames of a campaign that could not be labelled so far."""
    stages = [stage.node for stage in stages_of(node) if stage.name == "label"]
    parts = [child.outputs.failures.dataset for child in stages if "failures" in child.outputs]
    return Dataset.concatenate(parts).merge()


@dataclass(frozen=True)
class Committee:
    """A committee and the calibration of its predictions.

    Attributes:
        models: File name → content; empty if no committee was trained.
        calibration: Calibration of each property; empty if the committee was not judged.
        note: What a user must know about the committee; empty if nothing.
        domain: Its training frames, for novelty; ``None``: not known.
        no_novelty: Why there is no domain; empty if there is one.
    """

    models: dict[str, bytes]
    calibration: Mapping[str, Calibration]
    note: str = ""
    domain: Domain | None = None
    no_novelty: str = ""


def committee(node: WorkChainNode, data: ReportData) -> Committee:
    """The committee that was judged last; without any judgement, the committee trained last.

    There may be a newer committee while its iteration runs, or after the iteration failed, but a
    calibration applies only to its own committee. So the models come from the trainings and not
    from the outputs of the campaign: earlier versions put the newest models there.

    Args:
        node: A ``TrainsPotWorkChain``.
        data: See ``collect``.

    Returns:
        The committee; if no committee was trained, without models and with a note.
    """
    trained = {
        stage.iteration: stage.node.outputs.models
        for stage in stages_of(node)
        if stage.name == "train" and stage.node.is_finished_ok
    }
    judged = data.iterations[-1] if data.iterations else None
    last = max(trained, default=0)
    n = last if judged is None else judged.n
    if n not in trained:
        return Committee({}, {}, "No committee was trained: this is the dataset alone.")
    if judged is None:
        note = f"This committee, of iteration {n}, was not judged: its error bars have no scale."
    elif last > n:
        note = (
            f"A newer committee, of iteration {last}, was trained but not judged. This is the one "
            f"of iteration {n}, to which the calibration belongs."
        )
    else:
        note = ""
    models = {}
    for key, model in sorted(trained[n].items()):
        suffix = model.filename.rpartition(".")[2]
        with model.open(mode="rb") as handle:
            models[f"{key}.{suffix}"] = handle.read()
    calibration = {} if judged is None else judged.calibration
    return Committee(models, calibration, note, *_domain(node, n))


def _domain(node: WorkChainNode, n: int) -> tuple[Domain | None, str]:
    """The training frames of the committee of an iteration with their thresholds of novelty."""
    for stage in stages_of(node):
        if stage.name == "judge" and stage.iteration == n and stage.node.is_finished_ok:
            inputs = stage.node.inputs
            settings = campaign_of(inputs.config).select.descriptor
            novelty = judgement_of(stage.node.outputs.judgement).novelty
            return domain_of(inputs.dataset.dataset, novelty, settings)
    return None, ""


def _returned(node: WorkChainNode, namespace: str) -> dict[int, Any]:
    """The outputs ``<namespace>.iteration_N`` of the campaign by N."""
    if namespace not in node.outputs:
        return {}
    outputs = dict(node.outputs[namespace])
    return {int(key.removeprefix("iteration_")): output for key, output in outputs.items()}


def _during(node: WorkChainNode, name: str) -> dict[int, Dict]:
    """Dict outputs with this name of the campaign's calcfunctions, by iteration."""
    entries = node.base.links.get_outgoing(link_type=LinkType.CALL_CALC).all()
    nodes = [
        entry.node.outputs[name]
        for entry in sorted(entries, key=lambda entry: (entry.node.ctime, entry.node.pk))
        if isinstance(entry.node, CalcFunctionNode)
        and not is_replaced(entry.node)
        and name in entry.node.outputs
        and isinstance(entry.node.outputs[name], Dict)
    ]
    return dict(enumerate(nodes, start=1))


def _evaluated(node: WorkChainNode) -> dict[int, SinglefileData]:
    """Predictions of the committee of each iteration at its judgement."""
    return {
        stage.iteration: stage.node.outputs.predictions
        for stage in stages_of(node)
        if stage.name == "evaluate" and "predictions" in stage.node.outputs
    }


def _is_demonstration(config: dict[str, Any]) -> bool:
    settings = (config.get("label") or {}).get("settings") or {}
    return settings.get("pseudo_family") == FAMILY
