"""Calcfunctions of labelling: what is missing, who computes it, and what came out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from aiida.orm import Dict, Int, Str, StructureData, TrajectoryData

from aiida_trainspot.data.pes import PESData
from aiida_trainspot.functions.decision import decision
from trainspot.common.errors import InputError
from trainspot.common.validation import parse_settings
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Labels
from trainspot.data.state import MOMENTS
from trainspot.label import base
from trainspot.label.quantumespresso import PwOutputs, QuantumEspressoLabelEngine

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainspot.data.frames import Frame

FRAME_KEY, FRAME_LABELS = "frame_{:06d}", "frame_%"
PART_KEY, PART_LABELS = "part_{:04d}", "part_%"
EARLIER = "part_earlier"
"""The part whose frames were labelled before."""


@decision
def pending(dataset: PESData) -> PESData:
    """The frames without labels, each id once."""
    return PESData(Dataset.from_frames([]).merge(dataset.dataset).unlabelled())


@decision
def merge_labels(
    dataset: PESData, labelled: PESData, failures: PESData, names: Dict | None = None
) -> PESData:
    """The dataset, each id once, with the new labels and without the frames that failed.

    Args:
        dataset: All frames.
        labelled: Those with new labels.
        failures: Those that got none.
        names: ``theory`` and its ``former`` names, which labels of earlier versions bear.
    """
    known, new = Dataset.from_frames([]).merge(dataset.dataset), labelled.dataset
    if names is not None:
        known, new = (base.renamed(d, names["former"], names["theory"]) for d in (known, new))
    return PESData(base.merged(known, new, failures.dataset))


@decision
def reuse(output_trajectory: TrajectoryData) -> dict[str, TrajectoryData]:
    """The result of a frame that was computed before, for the same question."""
    return {"output_trajectory": output_trajectory.clone()}


@decision
def reuse_frames(dataset: PESData, theory: Str, **earlier: PESData) -> dict[str, PESData]:
    """Labels and failures of frames that earlier jobs had, and the frames that are left.

    Args:
        dataset: The frames that are asked for.
        theory: Of the labels, which may bear a former name.
        earlier: Frames of earlier jobs under ``labelled_N`` or ``failures_N``.
    """
    known = {
        frame.id: frame
        for name, node in sorted(earlier.items())
        for frame in node.dataset
        if frame.labels or name.startswith("failures_")
    }
    done, rest = [], []
    for frame in dataset.dataset:
        found = known.get(frame.id)
        if found is None or not _same_question(frame, found):
            rest.append(frame.with_(labels=Labels()))
        elif found.labels:
            labels = replace(found.labels, theory=theory.value)
            done.append(base.retried(frame).with_(labels=labels))
        else:
            done.append(base.failed(frame, **found.info["failure"]))
    return _result(base.gathered(done)) | {"rest": PESData(rest)}


def _same_question(one: Frame, two: Frame) -> bool:
    """Whether a calculator is asked the same of two frames with one geometry."""
    first, second = (frame.arrays.get(MOMENTS) for frame in (one, two))
    if first is None or second is None:
        return first is second
    return bool(np.array_equal(first, second))


@decision
def deal(dataset: PESData, parts: Int) -> dict[str, PESData]:
    """Share frames, without labels, between parts of about equal work.

    The largest frame first, each to the part with the least work so far; the work of a frame
    grows with the square of its atoms (between the exponents measured for pw.x).
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
    """Consecutive frames, without labels, at most ``size`` together."""
    frames = dataset.dataset
    edges = range(0, len(frames), size.value)
    return _parts(frames, [range(i, min(i + size.value, len(frames))) for i in edges])


@decision
def structures(dataset: PESData, start: Int, count: Int) -> dict[str, StructureData]:
    """Consecutive frames as structures; the node's label is the frame id."""
    found = {}
    with dataset.opened() as frames:
        for row in range(start.value, min(start.value + count.value, len(frames))):
            frame = frames[row]
            node = StructureData(ase=frame.to_atoms())
            node.label = frame.id
            found[FRAME_KEY.format(row)] = node
    return found


@decision
def gather_pw(
    dataset: PESData,
    settings: Dict,
    lost: Dict,
    start: Int,
    count: Int,
    **trajectories: TrajectoryData,
) -> dict[str, PESData]:
    """Labels of consecutive frames from what their pw.x calculations left.

    Args:
        dataset: The frames, and perhaps others.
        settings: Settings of the engine, for the level of theory.
        lost: Why frames have no result: frame id → ``reason`` and ``exit_status``.
        start: Row of the first frame.
        count: Their number.
        trajectories: Result of the frame in row N under the key ``frame_N``.
    """
    theory = QuantumEspressoLabelEngine.theory(
        parse_settings(QuantumEspressoLabelEngine.Settings, settings.get_dict())
    )
    reasons = lost.get_dict()
    done = []
    frames = dataset[start.value : start.value + count.value]
    for row, frame in enumerate(frames, start.value):
        result = trajectories.get(FRAME_KEY.format(row))
        if result is None:
            done.append(_lost(frame, reasons))
            continue
        try:
            labels = QuantumEspressoLabelEngine.labels(frame, _outputs(result), theory)
        except InputError as error:
            done.append(base.failed(frame, str(error)))
        else:
            done.append(base.retried(frame).with_(labels=labels))
    return _result(base.gathered(done))


@decision
def rest(dataset: PESData, labelled: PESData) -> PESData:
    """The frames of a job that was cut off which it had not labelled."""
    return PESData(dataset.dataset.without(labelled.ids))


@decision
def join(**parts: PESData) -> PESData:
    """The frames of some parts, one part after another."""
    return PESData(PESData.concatenate(parts[name] for name in sorted(parts)))


@decision
def gather_parts(dataset: PESData, lost: Dict, **parts: PESData) -> dict[str, PESData]:
    """Join the results of parts, in the order of the dataset.

    Args:
        dataset: The frames of all parts.
        lost: Why frames are in no result: frame id → ``reason`` and ``exit_status``.
        parts: Labelled and failed frames of each part, in any order.
    """
    done = [frame for node in parts.values() for frame in node.dataset]
    # A frame that a job lost and another one labelled is labelled.
    known = {frame.id: frame for frame in sorted(done, key=lambda frame: bool(frame.labels))}
    reasons = lost.get_dict()
    frames = (known.get(frame.id) or _lost(frame, reasons) for frame in dataset.dataset)
    return _result(base.gathered(frames))


def _parts(frames: Dataset, hands: list[Any]) -> dict[str, PESData]:
    return {
        PART_KEY.format(number): PESData(
            frame.with_(labels=Labels()) for frame in frames.take(np.array(hand, dtype=np.int64))
        )
        for number, hand in enumerate(hands)
        if len(hand)
    }


def _result(result: base.LabelResult) -> dict[str, PESData]:
    return {"labelled": PESData(result.labelled), "failures": PESData(result.failures)}


def _lost(frame: Frame, reasons: Mapping[str, Mapping[str, Any]]) -> Frame:
    why = reasons.get(frame.id, {})
    return base.failed(frame, why.get("reason", "no result"), why.get("exit_status"))


def _outputs(trajectory: TrajectoryData) -> PwOutputs:
    """The last ionic step; an scf has one."""
    names = trajectory.get_arraynames()
    if not {"energy", "forces"} <= set(names):
        raise InputError("pw.x left no energy or no forces")
    stress = trajectory.get_array("stress")[-1] if "stress" in names else None
    return PwOutputs(
        float(trajectory.get_array("energy")[-1]), trajectory.get_array("forces")[-1], stress
    )
