"""Calcfunctions of labelling: missing labels, their distribution to jobs, and the results."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from aiida.orm import Dict, Int, Str, StructureData, TrajectoryData

from aiida_trainspot.data.pes import PESData
from aiida_trainspot.functions.base import decision
from trainspot import split as splitting
from trainspot.common.errors import InputError
from trainspot.common.validation import parse_settings
from trainspot.data.dataset import Dataset
from trainspot.data.failure import Failure, failure_of, without_failure
from trainspot.data.frames import Labels
from trainspot.data.state import MOMENTS
from trainspot.label import base
from trainspot.label.pool import look_up as labels_of_pool
from trainspot.label.quantumespresso import PwOutputs, QuantumEspressoLabelEngine

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainspot.data.frames import Frame

FRAME_KEY, FRAME_LABELS = "frame_{:06d}", "frame_%"
PART_KEY, PART_LABELS = "part_{:04d}", "part_%"
EARLIER = "part_earlier"
"""The part with frames that were labelled before."""


@decision
def pending(dataset: PESData, chosen: PESData | None = None) -> PESData:
    """The frames without labels, each id once."""
    return PESData(_together(dataset, chosen).unlabelled())


def pending_already(dataset: PESData, chosen: PESData | None) -> PESData | None:
    """An existing node that equals the result of ``pending``, if there is one."""
    if chosen is None and not dataset.n_labelled:
        return dataset if _distinct(dataset.ids) else None
    if chosen is None or chosen.n_labelled or dataset.n_labelled < len(dataset):
        return None
    return chosen if _distinct([*dataset.ids, *chosen.ids]) else None


@decision
def merge_labels(
    dataset: PESData,
    labelled: PESData,
    failures: PESData,
    chosen: PESData | None = None,
    names: Dict | None = None,
    splits: Dict | None = None,
) -> PESData:
    """The dataset, each id once, with the new labels and without the frames that failed.

    Args:
        dataset: All frames, or all but the chosen frames.
        labelled: The frames with new labels.
        failures: The frames that could not be labelled.
        chosen: Frames that are added to the dataset.
        names: ``theory`` and its ``former`` names, which labels of earlier versions have.
        splits: ``fractions`` and ``seed`` for the splits of frames that have no split yet.
    """
    frames, new = _together(dataset, chosen), labelled.dataset
    if names is not None:
        frames, new = (base.renamed(d, names["former"], names["theory"]) for d in (frames, new))
    merged = base.merged(frames, new, failures.dataset)
    if splits is not None:
        merged = splitting.assign(merged, splits["fractions"], seed=splits["seed"])
    return PESData(merged)


def merged_already(
    dataset: PESData,
    labelled: PESData,
    failures: PESData,
    chosen: PESData | None = None,
    names: Dict | None = None,
    splits: Dict | None = None,
) -> PESData | None:
    """An existing node that equals the result of ``merge_labels``, if there is one.

    This is the dataset if nothing is added, or the new labels if no other frame has labels.
    """
    if chosen is not None or len(failures):
        return None
    node = labelled if len(labelled) else dataset
    if len(node) < len(dataset) or not set(node.theories).isdisjoint(
        names["former"] if names is not None else ()
    ):
        return None
    if splits is not None and not (node.column("split") > 0).all():
        return None
    return node if node.ids == dataset.ids and _distinct(node.ids) else None


def _together(dataset: PESData, chosen: PESData | None) -> Dataset:
    """The frames of both nodes, each once."""
    parts = [node.dataset for node in (dataset, chosen) if node is not None]
    return Dataset.from_frames([]).merge(*parts)


def _distinct(ids: list[str]) -> bool:
    return len(set(ids)) == len(ids)


def is_bare(node: PESData) -> bool:
    """Whether no frame has a label of any kind, so that a job needs no copy without labels."""
    flags = ("has_energy", "has_forces", "has_stress", "theory")
    with node.opened() as frames:
        return not any(frames.column(name).astype(np.bool_).any() for name in flags)


@decision
def reuse(output_trajectory: TrajectoryData) -> dict[str, TrajectoryData]:
    """The result of an earlier calculation of the same frame with the same settings."""
    return {"output_trajectory": output_trajectory.clone()}


@decision
def reuse_frames(dataset: PESData, theory: Str, **earlier: PESData) -> dict[str, PESData]:
    """Labels and failures of frames from earlier jobs, and the remaining frames.

    Args:
        dataset: The frames to label.
        theory: Level of theory of the labels, which may have a former name in earlier jobs.
        earlier: Frames of earlier jobs under ``labelled_N`` or ``failures_N``.
    """
    earlier_frames = {
        frame.id: frame
        for name, node in sorted(earlier.items())
        for frame in node.dataset
        if frame.labels or name.startswith("failures_")
    }
    reused, rest = [], []
    for frame in dataset.dataset:
        earlier_frame = earlier_frames.get(frame.id)
        if earlier_frame is None or not _same_question(frame, earlier_frame):
            rest.append(frame.with_(labels=Labels()))
        elif earlier_frame.labels:
            labels = replace(earlier_frame.labels, theory=theory.value)
            reused.append(without_failure(frame).with_(labels=labels))
        else:
            reused.append(_failed(frame, failure_of(earlier_frame)))
    return _result(base.gathered(reused)) | {"rest": PESData(rest)}


def _same_question(asked: Frame, earlier: Frame) -> bool:
    """Whether two frames with the same geometry also have the same initial moments."""
    first, second = (frame.arrays.get(MOMENTS) for frame in (asked, earlier))
    if first is None or second is None:
        return first is second
    return bool(np.array_equal(first, second))


@decision
def deal(dataset: PESData, parts: Int) -> dict[str, PESData]:
    """Distribute frames, without labels, to parts of about equal work.

    The largest frame comes first, and each frame goes to the part with the least work so far. The
    work of a frame is the square of its number of atoms (between the exponents measured for pw.x).
    """
    frames = dataset.dataset
    work = frames.n_atoms.astype(float) ** 2
    loads = np.zeros(parts.value)
    hands: list[list[int]] = [[] for _ in range(parts.value)]
    for row in np.argsort(-work, kind="stable"):
        lightest = int(np.argmin(loads))
        hands[lightest].append(int(row))
        loads[lightest] += work[row]
    return _parts(frames, hands)


@decision
def batches(dataset: PESData, size: Int) -> dict[str, PESData]:
    """Batches of at most ``size`` consecutive frames, without labels."""
    frames = dataset.dataset
    edges = range(0, len(frames), size.value)
    return _parts(frames, [range(i, min(i + size.value, len(frames))) for i in edges])


@decision
def structures(dataset: PESData, start: Int, count: Int) -> dict[str, StructureData]:
    """Consecutive frames as structures; the node's label is the frame id."""
    nodes = {}
    with dataset.opened() as frames:
        for row in range(start.value, min(start.value + count.value, len(frames))):
            frame = frames[row]
            node = StructureData(ase=frame.to_atoms())
            node.label = frame.id
            nodes[FRAME_KEY.format(row)] = node
    return nodes


@decision
def gather_pw(
    dataset: PESData,
    settings: Dict,
    lost: Dict,
    start: Int,
    count: Int,
    **trajectories: TrajectoryData,
) -> dict[str, PESData]:
    """Labels of consecutive frames from the results of their pw.x calculations.

    Args:
        dataset: A dataset with these frames.
        settings: Settings of the engine, for the level of theory.
        lost: Why frames have no result: frame id → ``Failure.to_dict``.
        start: Row of the first frame.
        count: Number of frames.
        trajectories: Result of the frame in row N under the key ``frame_N``.
    """
    theory = QuantumEspressoLabelEngine.theory(
        parse_settings(QuantumEspressoLabelEngine.Settings, settings.get_dict())
    )
    reasons = lost.get_dict()
    outcomes = []
    frames = dataset[start.value : start.value + count.value]
    for row, frame in enumerate(frames, start.value):
        result = trajectories.get(FRAME_KEY.format(row))
        if result is None:
            outcomes.append(_lost(frame, reasons))
            continue
        try:
            labels = QuantumEspressoLabelEngine.labels(frame, _outputs(result), theory)
        except InputError as error:
            outcomes.append(base.failed(frame, str(error)))
        else:
            outcomes.append(without_failure(frame).with_(labels=labels))
    return _result(base.gathered(outcomes))


@decision
def look_up(dataset: PESData, pool: PESData) -> dict[str, PESData]:
    """Labels and failures of frames from a pool; see ``trainspot.label.pool``."""
    with pool.opened() as labelled:
        return _result(labels_of_pool(labelled, dataset.dataset))


@decision
def rest(dataset: PESData, labelled: PESData) -> PESData:
    """The frames that a job had not labelled when it was cut off."""
    return PESData(dataset.dataset.without(labelled.ids))


@decision
def join(**parts: PESData) -> PESData:
    """Concatenate the frames of some parts."""
    return PESData(PESData.concatenate(parts[name] for name in sorted(parts)))


def gathered_already(dataset: PESData, parts: Mapping[str, PESData]) -> dict[str, PESData] | None:
    """The nodes of a single part, if they equal the result of ``gather_parts``.

    Args:
        dataset: The frames of all parts.
        parts: Nodes by names that begin with ``labelled`` or ``failures``.
    """
    kinds = {name.partition("_")[0]: node for name, node in parts.items()}
    if len(parts) != 2 or kinds.keys() != {"labelled", "failures"}:
        return None
    labelled, failed = kinds["labelled"].ids, set(kinds["failures"].ids)
    wanted = dataset.ids
    whole = labelled == [identity for identity in wanted if identity not in failed]
    ordered = kinds["failures"].ids == [identity for identity in wanted if identity in failed]
    return kinds if whole and ordered and _distinct(wanted) else None


@decision
def gather_parts(dataset: PESData, lost: Dict, **parts: PESData) -> dict[str, PESData]:
    """Gather the results of parts, in the order of the dataset.

    Args:
        dataset: The frames of all parts.
        lost: Why frames are in no result: frame id → ``Failure.to_dict``.
        parts: Labelled and failed frames of each part, in any order.
    """
    outcomes = [frame for node in parts.values() for frame in node.dataset]
    # If one job lost a frame and another job labelled it, the labels count.
    by_id = {frame.id: frame for frame in sorted(outcomes, key=lambda frame: bool(frame.labels))}
    reasons = lost.get_dict()
    frames = (by_id.get(frame.id) or _lost(frame, reasons) for frame in dataset.dataset)
    return _result(base.gathered(frames))


def _parts(frames: Dataset, hands: list[Any]) -> dict[str, PESData]:
    return {
        PART_KEY.format(number): PESData(
            frames.take(np.array(hand, dtype=np.int64)).without_labels()
        )
        for number, hand in enumerate(hands)
        if len(hand)
    }


def _result(result: base.LabelResult) -> dict[str, PESData]:
    return {"labelled": PESData(result.labelled), "failures": PESData(result.failures)}


def _lost(frame: Frame, reasons: Mapping[str, Mapping[str, Any]]) -> Frame:
    content = reasons.get(frame.id)
    return _failed(frame, Failure.from_dict(content) if content else None)


def _failed(frame: Frame, failure: Failure | None) -> Frame:
    """The frame with this failure; without one, no calculation left a result."""
    failure = failure or Failure("no result")
    return base.failed(frame, failure.reason, failure.exit_status)


def _outputs(trajectory: TrajectoryData) -> PwOutputs:
    """The results of the last ionic step; an scf has one step."""
    names = trajectory.get_arraynames()
    if not {"energy", "forces"} <= set(names):
        raise InputError("pw.x left no energy or no forces")
    stress = trajectory.get_array("stress")[-1] if "stress" in names else None
    return PwOutputs(
        float(trajectory.get_array("energy")[-1]), trajectory.get_array("forces")[-1], stress
    )
