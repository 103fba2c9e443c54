"""Why a frame was, or was not, labelled: all data of its judgement."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from ase.data import chemical_symbols
from ase.formula import Formula

from trainspot.common.errors import InputError
from trainspot.common.properties import UNITS
from trainspot.data.dataset import Dataset
from trainspot.data.failure import failure_of
from trainspot.data.frames import Frame, Origin
from trainspot.data.refused import Outcome, is_physical
from trainspot.descriptors import DescriptorSettings
from trainspot.judge.atoms import collect_atoms
from trainspot.judge.decision import FrameDecision, Kind
from trainspot.judge.judgement import Judgement
from trainspot.judge.surroundings import Distance, Nearest, surroundings
from trainspot.predictions.calibration import Calibration
from trainspot.predictions.predictions import Predictions

_SHOWN: Final = 12  # digits of an id
_OFFERED: Final = 5  # ids in the error about a prefix that fits no frame or several


@dataclass(frozen=True, eq=False)
class Past:
    """An iteration at the time of its judgement.

    Attributes:
        n: Its number.
        explored: The exploration.
        starts: Its start frames.
        known: The training dataset of the committee.
        predictions: Predictions of the committee for held-out and explored frames.
        calibrations: The thresholds.
        judgement: The judgement.
        descriptor: Settings of the descriptor for distances.
    """

    n: int
    explored: Dataset
    starts: Dataset
    known: Dataset
    predictions: Predictions
    calibrations: Mapping[str, Calibration]
    judgement: Judgement
    descriptor: DescriptorSettings


@dataclass(frozen=True)
class Label:
    """The label of a frame.

    Attributes:
        energy: Energy, eV, if it was computed.
        max_force: Largest force on an atom, eV/Å, if forces were computed.
        theory: Level of theory.
    """

    energy: float | None
    max_force: float | None
    theory: str


@dataclass(frozen=True)
class Met:
    """How exploration reached a frame.

    Attributes:
        iteration: Number of the iteration.
        start: Id of the start frame of the trajectory.
        start_strategy: Strategy that made the start frame, if known.
        trajectory: Name of the run.
        temperature: K.
        pressure: kbar.
        ensemble: nvt, npt or nve.
        time: Time since the start, ps.
    """

    iteration: int
    start: str
    start_strategy: str | None
    trajectory: str
    temperature: float | None
    pressure: float | None
    ensemble: str | None
    time: float | None


@dataclass(frozen=True)
class OfProperty:
    """Disagreement and errors of one property of a frame, in ``unit``.

    Attributes:
        unit: eV/atom, eV/Å or eV/Å³.
        disagreement: Δ; ``None`` if a prediction is not finite.
        threshold: τ.
        tolerance: ε.
        exceeds: Whether Δ is beyond τ.
        predicted_error: Standard error, as in the error bars; ``None`` without a calibration.
        true_error: Error against the label, if there is one.
    """

    unit: str
    disagreement: float | None
    threshold: float
    tolerance: float
    exceeds: bool
    predicted_error: float | None
    true_error: float | None


@dataclass(frozen=True)
class WorstAtom:
    """The atom with the largest disagreement about its force; eV/Å.

    Attributes:
        index: Index of the atom, from 0.
        element: Chemical symbol.
        disagreement: Δ of the force on the atom.
        predicted_error: Standard error, as of a property.
        true_error: Error against the label, if there is one.
    """

    index: int
    element: str
    disagreement: float
    predicted_error: float | None
    true_error: float | None


@dataclass(frozen=True)
class Judged:
    """The judgement of an explored frame and its data.

    Attributes:
        explored: How exploration reached the frame.
        decision: The decision and its reasons.
        properties: Disagreement and errors of each judged property.
        worst_atom: The atom with the largest disagreement; ``None`` if a prediction is not finite.
        novelty: Distance of the frame from the training frames.
        nearest: The nearest labelled frame, if there is one.
    """

    explored: Met
    decision: FrameDecision
    properties: Mapping[str, OfProperty]
    worst_atom: WorstAtom | None
    novelty: Distance
    nearest: Nearest | None


@dataclass(frozen=True)
class Account:
    """All about one frame of a campaign.

    Attributes:
        frame: Id of the frame.
        formula: Chemical formula.
        origin: Origin of the frame.
        split: Split of the frame, if it has one.
        label: Label of the frame, if it has one.
        failure: Why the labelling failed, if it failed.
        judged: The judgement; ``None`` if the frame was never explored.
        physical: Whether the labels of a frame that the screen refused are physical; ``None`` for
            other frames and without labels.
        screened: What the labels of all refused frames of the campaign say, for a refused frame.
    """

    frame: str
    formula: str
    origin: Origin
    split: str | None
    label: Label | None
    failure: str | None
    judged: Judged | None
    physical: bool | None = None
    screened: Outcome | None = None


def why(prefix: str, history: Sequence[Past], dataset: Dataset, failed: Dataset) -> Account:
    """All about one frame of a campaign.

    Args:
        prefix: A frame id, or the first digits of one.
        history: The judged iterations, in order.
        dataset: All frames, with splits and labels.
        failed: Frames whose labelling failed.

    Raises:
        InputError: No such frame, or several.
    """
    identity = _identity(prefix, history, dataset, failed)
    past = _judged(identity, history)
    homes = [dataset, failed, *(earlier.explored for earlier in history)]
    frame = next(home for home in homes if home.count(identity)).by_id(identity)
    failure = failure_of(failed.by_id(identity)) if failed.count(identity) else None
    judged = None if past is None else _judging(frame, past)
    refused = judged is not None and judged.decision.is_refused
    return Account(
        identity,
        _formula(frame),
        frame.origin,
        frame.split,
        _label(frame) if dataset.count(identity) else None,
        failure.reason if failure else None,
        judged,
        is_physical(frame),
        Outcome.of(dataset) if refused else None,
    )


def _identity(prefix: str, history: Sequence[Past], dataset: Dataset, failed: Dataset) -> str:
    """The one id that starts with the prefix."""
    everything = [dataset, failed, *(past.explored for past in history)]
    ids = sorted({identity for part in everything for identity in part.ids})
    fitting = [identity for identity in ids if identity.startswith(prefix.lower())]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        shown = ", ".join(identity[:_SHOWN] for identity in fitting[:_OFFERED])
        more = f" and {len(fitting) - _OFFERED} more" if len(fitting) > _OFFERED else ""
        what = f"{len(fitting)} frames start with '{prefix}': {shown}{more}"
        raise InputError(what, hint="give more digits")
    shared = max((_common(prefix.lower(), identity) for identity in ids), default=0)
    near = [identity[:_SHOWN] for identity in ids if _common(prefix.lower(), identity) == shared]
    hint = f"nearest: {', '.join(near[:_OFFERED])}" if shared else "see: trainspot export"
    raise InputError(f"no frame '{prefix}' in this campaign", hint=hint)


def _common(first: str, second: str) -> int:
    pairs = enumerate(zip(first, second, strict=False))
    return next((k for k, (a, b) in pairs if a != b), min(len(first), len(second)))


def _judged(identity: str, history: Sequence[Past]) -> Past | None:
    """The iteration that judged a frame; later iterations do not judge it again."""
    decisions = ((past, past.judgement.decisions.get(identity)) for past in history)
    return next(
        (past for past, decision in decisions if decision and decision.kind is not Kind.KNOWN), None
    )


def _formula(frame: Frame) -> str:
    counts = Counter(chemical_symbols[z] for z in frame.numbers)
    return str(Formula.from_dict(counts).format("metal"))


def _label(frame: Frame) -> Label | None:
    labels = frame.labels
    if not labels:
        return None
    largest = None
    if labels.forces is not None:
        largest = float(np.sqrt(np.square(labels.forces).sum(axis=1)).max())
    return Label(labels.energy, largest, labels.theory)


def _judging(frame: Frame, past: Past) -> Judged:
    origin = past.explored.by_id(frame.id).origin
    has_start = past.starts.count(origin.parent)
    start = past.starts.by_id(origin.parent) if has_start else None
    conditions = (
        origin.parameters.get(key) for key in ("temperature", "pressure", "ensemble", "time")
    )
    strategy = start.origin.strategy if start else None
    predicted = past.predictions.select([frame.id])
    novelty, nearest = surroundings(frame, past.known, past.descriptor, past.judgement.novelty)
    return Judged(
        Met(past.n, origin.parent, strategy, origin.trajectory, *conditions),
        past.judgement.decisions[frame.id],
        _properties(frame, predicted, past.calibrations),
        _worst_atom(frame, predicted, past.calibrations.get("forces")),
        novelty,
        nearest,
    )


def _worst_atom(
    frame: Frame, predicted: Predictions, calibration: Calibration | None
) -> WorstAtom | None:
    if not predicted.is_finite[0]:
        return None
    atoms = predicted.atom_disagreement()
    worst = int(np.argmax(atoms))
    true = collect_atoms(Dataset.from_frames([frame]), predicted, trained=()).error
    scale = (
        (calibration.atom_sigma or calibration.sigma)
        if calibration is not None and calibration.has_bars()
        else None
    )
    return WorstAtom(
        worst,
        chemical_symbols[frame.numbers[worst]],
        float(atoms[worst]),
        None if scale is None else scale * float(atoms[worst]),
        float(true[worst]) if len(true) else None,
    )


def _properties(
    frame: Frame, predicted: Predictions, calibrations: Mapping[str, Calibration]
) -> dict[str, OfProperty]:
    delta = predicted.disagreement()
    alone = Dataset.from_frames([frame])
    error, has = predicted.errors(alone), predicted.referenced(alone)
    properties = {}
    for name, calibration in calibrations.items():
        if name == "stress" and not predicted.has_stress[0]:
            continue
        value = float(delta[name][0])
        is_finite = math.isfinite(value)
        scale = calibration.sigma or calibration.slope
        properties[name] = OfProperty(
            unit=UNITS[name],
            disagreement=value if is_finite else None,
            threshold=calibration.threshold,
            tolerance=calibration.tolerance,
            exceeds=value > calibration.threshold,
            predicted_error=scale * value if is_finite and calibration.has_bars() else None,
            true_error=float(error[name][0]) if has[name][0] and is_finite else None,
        )
    return properties
