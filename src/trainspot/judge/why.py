"""Why a frame was, or was not, labelled: everything that was known when it was judged."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from ase.data import chemical_symbols
from ase.formula import Formula

from trainspot.common.errors import InputError, MissingExtraError
from trainspot.common.properties import UNITS
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.descriptors import DescriptorSettings
from trainspot.judge.atoms import collect_atoms
from trainspot.judge.calibrate import Calibration
from trainspot.judge.judgement import KNOWN, Judgement
from trainspot.judge.novelty import Novelty
from trainspot.judge.space import Space
from trainspot.predictions.predictions import Predictions

_SHOWN: Final = 12  # digits of an id
_OFFERED: Final = 5  # candidates for a prefix that fits none or several


@dataclass(frozen=True, eq=False)
class Past:
    """An iteration as it was when it was judged.

    Attributes:
        n: Its number.
        explored: The exploration.
        starts: Its start frames.
        known: The dataset its committee was trained on.
        predictions: The committee's, for held-out and explored frames.
        calibrations: The thresholds.
        judgement: What was decided.
        descriptor: What distances rested on.
    """

    n: int
    explored: Dataset
    starts: Dataset
    known: Dataset
    predictions: Predictions
    calibrations: Mapping[str, Calibration]
    judgement: Judgement
    descriptor: DescriptorSettings


def why(prefix: str, history: Sequence[Past], dataset: Dataset, failed: Dataset) -> dict[str, Any]:
    """All about one frame of a campaign, JSON values only.

    Args:
        prefix: A frame id, or the first digits of one.
        history: The iterations that were judged, in order.
        dataset: All frames, with their sets and the labels there are.
        failed: Frames that could not be labelled.

    Returns:
        ``frame``, ``formula``, ``origin``, ``set``, ``label`` and ``failure`` of any frame. Of an
        explored one also ``explored`` (iteration, start, conditions), ``screen``, ``properties``
        (disagreement, threshold, predicted standard error, which is that of the error bars, and,
        once there is a label, the true error), ``worst_atom`` (index from 0, and the same;
        ``None`` where a prediction is not finite),
        ``novelty``, ``nearest`` (the nearest frame that was labelled), ``decision`` and
        ``reason``; these are ``None`` for frames that were never explored.

    Raises:
        InputError: No such frame, or several.
    """
    identity = _identity(prefix, history, dataset, failed)
    past = _judged(identity, history)
    homes = [dataset, failed, *(one.explored for one in history)]
    frame = next(home for home in homes if home.count(identity)).by_id(identity)
    failure = failed.by_id(identity).info.get("failure") if failed.count(identity) else None
    found: dict[str, Any] = {
        "frame": identity,
        "formula": _formula(frame),
        "origin": {
            "strategy": frame.origin.strategy,
            "parent": frame.origin.parent,
            "parameters": dict(frame.origin.parameters),
            "seed": frame.origin.seed,
            "iteration": frame.origin.iteration,
        },
        "set": frame.split,
        "label": _label(frame) if dataset.count(identity) else None,
        "failure": failure["reason"] if failure else None,
    }
    names = ("explored", "screen", "properties", "worst_atom", "novelty", "nearest")
    found |= dict.fromkeys((*names, "decision", "reason"))
    return found if past is None else found | _judging(frame, past)


def _identity(prefix: str, history: Sequence[Past], dataset: Dataset, failed: Dataset) -> str:
    """The one id that starts like this."""
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


def _common(one: str, other: str) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((k for k, (a, b) in pairs if a != b), min(len(one), len(other)))


def _judged(identity: str, history: Sequence[Past]) -> Past | None:
    """The iteration that judged a frame; met again, a frame is known and not judged."""
    reasons = ((past, past.judgement.reasons.get(identity)) for past in history)
    return next((past for past, reason in reasons if reason not in (None, KNOWN)), None)


def _formula(frame: Frame) -> str:
    counts = Counter(chemical_symbols[z] for z in frame.numbers)
    return str(Formula.from_dict(counts).format("metal"))


def _label(frame: Frame) -> dict[str, Any] | None:
    labels = frame.labels
    if not labels:
        return None
    largest = None
    if labels.forces is not None:
        largest = float(np.sqrt(np.square(labels.forces).sum(axis=1)).max())
    return {"energy": labels.energy, "max_force": largest, "theory": labels.theory}


def _judging(frame: Frame, past: Past) -> dict[str, Any]:
    """What was found out about an explored frame, and what followed."""
    origin = past.explored.by_id(frame.id).origin
    has_start = past.starts.count(origin.parent)
    start = past.starts.by_id(origin.parent) if has_start else None
    decision, _, reason = past.judgement.reasons[frame.id].partition(": ")
    refused = decision == "refused"
    predicted = past.predictions.select([frame.id])
    conditions = ("temperature", "pressure", "ensemble", "time")
    return {
        "explored": {
            "iteration": past.n,
            "start": origin.parent,
            "start_strategy": start.origin.strategy if start else None,
            "trajectory": origin.trajectory,
            **{key: origin.parameters.get(key) for key in conditions},
        },
        "screen": f"refused: {reason}" if refused else "passed",
        "properties": _properties(frame, predicted, past.calibrations),
        "worst_atom": _worst_atom(frame, predicted, past.calibrations.get("forces")),
        **_surroundings(frame, past),
        "decision": decision,
        "reason": reason,
    }


def _worst_atom(
    frame: Frame, predicted: Predictions, made: Calibration | None
) -> dict[str, Any] | None:
    """The atom whose force is most in dispute; none where a prediction is not finite."""
    if not predicted.is_finite[0]:
        return None
    atoms = predicted.atom_disagreement()
    worst = int(np.argmax(atoms))
    true = collect_atoms(Dataset.from_frames([frame]), predicted, trained=()).error
    scale = (made.atom_sigma or made.sigma) if made is not None and made.fitted else None
    return {
        "index": worst,
        "element": chemical_symbols[frame.numbers[worst]],
        "disagreement": float(atoms[worst]),
        "predicted_error": None if scale is None else scale * float(atoms[worst]),
        "true_error": float(true[worst]) if len(true) else None,
    }


def _properties(
    frame: Frame, predicted: Predictions, calibrations: Mapping[str, Calibration]
) -> dict[str, Any]:
    delta = predicted.disagreement()
    alone = Dataset.from_frames([frame])
    error, has = predicted.errors(alone), predicted.referenced(alone)
    found = {}
    for name, made in calibrations.items():
        if name == "stress" and not predicted.has_stress[0]:
            continue
        value = float(delta[name][0])
        is_finite = math.isfinite(value)
        found[name] = {
            "unit": UNITS[name],
            "disagreement": value if is_finite else None,
            "threshold": made.threshold,
            "tolerance": made.tolerance,
            "exceeds": value > made.threshold,
            "predicted_error": (
                (made.sigma or made.slope) * value if is_finite and made.fitted else None
            ),
            "true_error": float(error[name][0]) if has[name][0] and is_finite else None,
        }
    return found


def _surroundings(frame: Frame, past: Past) -> dict[str, Any]:
    """Novelty and the nearest labelled frame, measured again: no iteration keeps descriptors."""
    try:
        alone = Dataset.from_frames([frame])
        space = Space.of(alone, past.known, past.descriptor)
    except MissingExtraError as error:
        return {"novelty": {"note": str(error)}, "nearest": None}
    distance = float(space.from_training()[0])
    judged = Novelty.from_dict(past.judgement.novelty)
    limit = float(judged.of(alone)[0])
    novelty = {
        "distance": distance if math.isfinite(distance) else None,
        "threshold": limit if math.isfinite(limit) else None,
        "exceeds": distance > limit,
        "note": judged.note,
    }
    nearest = space.nearest_known(0)
    if nearest is None:
        return {"novelty": novelty, "nearest": None}
    identity, away = nearest
    strategy = past.known.by_id(identity).origin.strategy
    return {
        "novelty": novelty,
        "nearest": {"frame": identity, "strategy": strategy, "distance": away},
    }


# ── in words ──────────────────────────────────────────────────────────────────
def in_words(found: Mapping[str, Any]) -> list[str]:
    """The lines that ``trainspot why`` prints; atoms are counted from 1."""
    origin, explored = found["origin"], found["explored"]
    lines = [f"frame {found['frame']} ({found['formula']})"]
    if explored is None:
        parent = f" of {origin['parent'][:_SHOWN]}" if origin["parent"] else ""
        lines.append(f"origin: {origin['strategy']}{parent}, iteration {origin['iteration']}")
        lines.append("never explored: it was there before, so nothing judged it")
    else:
        lines += [*_explored_lines(explored, found["screen"]), *_judged_lines(found)]
        lines.append(f"decision: {found['decision']}: {found['reason']}")
    lines.append(f"set: {found['set'] or 'none yet'}")
    if found["failure"]:
        lines.append(f"label: failed: {found['failure']}")
    elif label := found["label"]:
        force = label["max_force"]
        largest = "" if force is None else f", largest force {force:.3g} eV/Å"
        energy = "" if label["energy"] is None else f"{label['energy']:.6f} eV"
        lines.append(f"label: {energy}{largest} ({label['theory']})")
    else:
        lines.append("label: none")
    return lines


def _explored_lines(explored: Mapping[str, Any], screen: str) -> list[str]:
    start = f"{explored['start_strategy'] or 'frame'} {explored['start'][:_SHOWN]}"
    said = [
        f"{explored[key]:.4g} {unit}"
        for key, unit in (("temperature", "K"), ("pressure", "kbar"), ("time", "ps"))
        if explored[key] is not None
    ]
    where = f"explored: iteration {explored['iteration']}, from {start}"
    return [", ".join([where, *said]), f"screen: {screen}"]


def _errors(one: Mapping[str, Any]) -> str:
    predicted, true = one["predicted_error"], one["true_error"]
    said = "not calibrated" if predicted is None else f"predicted error {predicted:.3g}"
    return f"; {said}" + ("" if true is None else f", true error {true:.3g}")


def _judged_lines(found: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, one in found["properties"].items():
        if one["disagreement"] is None:
            lines.append(f"{name}: a prediction is not finite")
            continue
        word = "exceeds" if one["exceeds"] else "is within"
        lines.append(
            f"{name}: disagreement {one['disagreement']:.3g} {word} {one['threshold']:.3g} "
            f"{one['unit']}{_errors(one)}"
        )
    if worst := found["worst_atom"]:
        lines.append(
            f"worst atom: {worst['index'] + 1} ({worst['element']}), disagreement "
            f"{worst['disagreement']:.3g} eV/Å{_errors(worst)}"
        )
    novelty, nearest = found["novelty"], found["nearest"]
    if novelty.get("distance") is not None:
        limit = novelty["threshold"]
        word = "beyond" if novelty["exceeds"] else "within"
        judged = novelty["note"] or "not judged" if limit is None else f"{word} {limit:.3g}"
        lines.append(
            f"novelty: {novelty['distance']:.3g} from the nearest training frame, {judged}"
        )
    elif novelty["note"]:
        lines.append(f"novelty: {novelty['note']}")
    if nearest:
        lines.append(
            f"nearest labelled: {nearest['frame'][:_SHOWN]} ({nearest['strategy']}), distance "
            f"{nearest['distance']:.3g}"
        )
    return lines
