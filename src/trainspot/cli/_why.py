"""The decision about a frame, in words and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

from trainspot.common.properties import UNITS
from trainspot.common.text import screen_audit
from trainspot.geometry import contact_words
from trainspot.judge.decision import Kind, Objection, Way

if TYPE_CHECKING:
    from trainspot.judge.decision import Beyond, FrameDecision, Method
    from trainspot.judge.surroundings import Distance
    from trainspot.judge.why import Account, Judged, Met, OfProperty, WorstAtom

_SHOWN: Final = 12  # digits of an id
_WAYS: Final[Mapping[Way, str]] = {
    Way.UNFITTED: "drawn at random, for no threshold was fitted",
    Way.UNFLAGGED: "drawn at random, for nothing new is flagged",
    Way.AUDIT: "drawn at random from all",
    Way.FINAL_AUDIT: "drawn at random from the frames that the committee agrees on",
    Way.BUDGET_SPENT: "the label budget is spent",
}


# ── a decision ────────────────────────────────────────────────────────────────
def sentence(decision: FrameDecision) -> str:
    """The decision and its reason: ``selected: disagreement on forces of …``."""
    if decision.kind is Kind.KNOWN:
        return "known already"
    return f"{decision.kind.value}: {reason(decision)}"


def reason(decision: FrameDecision) -> str:
    """The reason of the decision."""
    if decision.told:
        return decision.told.removeprefix(f"{decision.kind.value}: ")
    if decision.kind is Kind.KNOWN:
        return "it was in the dataset before"
    return _objections(decision) if decision.is_refused else _grounds(decision)


def _objections(decision: FrameDecision) -> str:
    """Why the screen refused a frame, and how it was drawn to be labelled all the same."""
    objection = _objection(decision)
    return f"{objection}; {_method(decision.method)}" if decision.method else objection


def _objection(decision: FrameDecision) -> str:
    """Why the screen refused a frame."""
    value, limit, force = decision.value, decision.limit, decision.force
    if decision.cause == Objection.OVERLAP and decision.contact and value is not None:
        apart = contact_words(decision.contact.atoms, decision.contact.elements, value)
        if limit is None:  # from a sentence of an earlier version
            return apart
        closer = f"{apart}, closer than {limit:.2f} Å"
        if force is None:
            return closer
        return (
            f"{closer}, and a member predicts a force of {force.value:.3g} eV/Å on one of them, "
            f"which exceeds {force.limit:.3g} eV/Å"
        )
    if decision.cause == Objection.FORCE and value is not None and limit is not None:
        return f"a force of {value:.3g} eV/Å exceeds {limit:.3g} eV/Å"
    if decision.cause == Objection.VOLUME and value is not None:
        return f"volume per atom is {value:.3g} times that of the start frame"
    return "a prediction is not finite"


def _grounds(decision: FrameDecision) -> str:
    """The largest disagreement of a valid frame, and how it was chosen or passed over."""
    name, novelty = decision.cause, decision.novelty
    parts = []
    if decision.value is not None and decision.limit is not None:
        word = "exceeds" if decision.exceeds else "is within"
        threshold = f"{decision.limit:.3g} {UNITS[name]}"
        parts.append(
            f"disagreement on {name} of {decision.value:.3g} {word} the threshold of {threshold}"
        )
    if novelty:
        parts.append(f"novelty: {_beyond(novelty)}")
    return "; ".join([*parts, _method(decision.method)] if decision.method else parts)


def _beyond(novelty: Beyond) -> str:
    """The distance of a novel frame, or of its farthest atom, counted from 1."""
    if novelty.value is None:
        return f"no training frame has the element of atom {1 + (novelty.atom or 0)}"
    if novelty.atom is None:
        which = "a distance"
        nearest = "the nearest training frame"
    else:
        which = f"atom {novelty.atom + 1} has a distance"
        nearest = "the nearest training atom of its element"
    return f"{which} of {novelty.value:.3g} from {nearest} exceeds {novelty.limit:.3g}"


def _method(method: Method) -> str:
    """How a frame was chosen, or why it was passed over."""
    twin = method.twin
    if method.way is Way.STRATEGY:
        return f"one of {method.chosen} chosen among {method.among} ({method.strategy})"
    if method.way is Way.OUTNUMBERED:
        return f"not among the {method.chosen} chosen of {method.among}"
    if method.way is Way.SCREEN_AUDIT:
        return f"one of {method.chosen} drawn at random from {method.among} refused frames"
    if method.way is Way.NEAR_DUPLICATE and twin:
        which = "known" if twin.is_known else "explored"
        away = "" if twin.distance is None else f", {twin.distance:.1e}"
        return f"nearly the same as the {which} frame {twin.frame[:_SHOWN]}{away}"
    if method.way is Way.CAMPAIGN_ENDS:
        return f"the campaign ends: {method.verdict}"
    return _WAYS[method.way]


# ── a frame ───────────────────────────────────────────────────────────────────
def as_json(account: Account) -> dict[str, Any]:
    """What ``trainspot why --json`` prints.

    Returns:
        ``frame``, ``formula``, ``origin``, ``set``, ``label`` and ``failure`` of any frame. Of an
        explored one also ``explored`` (iteration, start, conditions), ``screen``, ``properties``
        (disagreement, threshold, predicted standard error, which is that of the error bars, and,
        once there is a label, the true error), ``worst_atom`` (index from 0, and the same;
        ``None`` where a prediction is not finite), ``novelty`` (with ``farthest_atom`` if atoms
        are compared), ``nearest`` (the nearest frame that was labelled), ``decision`` and
        ``reason`` in words and ``decided``, the same as values; these are ``None`` for frames that
        were never explored. If frames that the screen refused have labels, a refused frame has
        ``screen_audit`` (``labelled``, ``physical``), and ``physical`` if it is one of them.
    """
    origin, judged = account.origin, account.judged
    content: dict[str, Any] = {
        "frame": account.frame,
        "formula": account.formula,
        "origin": {
            "strategy": origin.strategy,
            "parent": origin.parent,
            "parameters": dict(origin.parameters),
            "seed": origin.seed,
            "iteration": origin.iteration,
        },
        "set": account.split,
        "label": asdict(account.label) if account.label else None,
        "failure": account.failure,
    }
    if account.screened and account.screened.labelled:
        content["screen_audit"] = asdict(account.screened)
    if account.physical is not None:
        content["physical"] = account.physical
    if judged is None:
        names = ("explored", "screen", "properties", "worst_atom", "novelty", "nearest")
        return content | dict.fromkeys((*names, "decision", "reason", "decided"))
    return content | {
        "explored": asdict(judged.explored),
        "screen": _screen(judged.decision),
        "properties": {name: asdict(figures) for name, figures in judged.properties.items()},
        "worst_atom": asdict(judged.worst_atom) if judged.worst_atom else None,
        "novelty": _without_nothing(asdict(judged.novelty), "farthest_atom"),
        "nearest": asdict(judged.nearest) if judged.nearest else None,
        "decision": judged.decision.kind.value,
        "reason": reason(judged.decision),
        "decided": judged.decision.to_dict(),
    }


def _without_nothing(content: dict[str, Any], name: str) -> dict[str, Any]:
    """The content without a value that is ``None``."""
    return {key: value for key, value in content.items() if key != name or value is not None}


def in_words(account: Account) -> list[str]:
    """The lines that ``trainspot why`` prints; atoms are counted from 1."""
    origin, judged, label = account.origin, account.judged, account.label
    lines = [f"frame {account.frame} ({account.formula})"]
    if judged is None:
        parent = f" of {origin.parent[:_SHOWN]}" if origin.parent else ""
        lines.append(f"strategy: {origin.strategy}{parent}, iteration {origin.iteration}")
        lines.append("not explored and not judged: the frame was in the dataset from the start")
    else:
        lines += [_explored(judged.explored), f"screen: {_screen(judged.decision)}"]
        lines += [*_judged(judged), f"decision: {sentence(judged.decision)}"]
    lines.append(f"split: {account.split or 'none yet'}")
    if account.failure:
        lines.append(f"label: failed: {account.failure}")
    elif label:
        force = label.max_force
        largest = "" if force is None else f", largest force {force:.3g} eV/Å"
        energy = "" if label.energy is None else f"{label.energy:.6f} eV"
        lines.append(f"label: {energy}{largest} ({label.theory})")
    else:
        lines.append("label: none")
    if account.physical is not None:
        use = "for training" if account.physical else "for nothing"
        lines.append(f"physical: {'yes' if account.physical else 'no'}, used {use}")
    if account.screened and account.screened.labelled:
        lines.append(f"screen audit: {screen_audit(**asdict(account.screened))}")
    return lines


def _screen(decision: FrameDecision) -> str:
    if not decision.is_refused:
        return "passed"
    return sentence(replace(decision, kind=Kind.REFUSED, method=None))


def _explored(met: Met) -> str:
    start = f"{met.start_strategy or 'frame'} {met.start[:_SHOWN]}"
    conditions = ((met.temperature, "K"), (met.pressure, "kbar"), (met.time, "ps"))
    said = [f"{value:.4g} {unit}" for value, unit in conditions if value is not None]
    return ", ".join([f"explored: iteration {met.iteration}, from {start}", *said])


def _errors(figures: OfProperty | WorstAtom) -> str:
    predicted, true = figures.predicted_error, figures.true_error
    said = "not calibrated" if predicted is None else f"sigma {predicted:.3g}"
    return f"; {said}" + ("" if true is None else f", true error {true:.3g}")


def _judged(judged: Judged) -> list[str]:
    lines = []
    for name, figures in judged.properties.items():
        if figures.disagreement is None:
            lines.append(f"{name}: a prediction is not finite")
            continue
        word = "exceeds" if figures.exceeds else "is within"
        lines.append(
            f"{name}: disagreement {figures.disagreement:.3g} {word} {figures.threshold:.3g} "
            f"{figures.unit}{_errors(figures)}"
        )
    if worst := judged.worst_atom:
        lines.append(
            f"worst atom: {worst.index + 1} ({worst.element}), disagreement "
            f"{worst.disagreement:.3g} eV/Å{_errors(worst)}"
        )
    lines += _novelty(judged.novelty)
    nearest = judged.nearest
    if nearest:
        lines.append(
            f"nearest labelled: {nearest.frame[:_SHOWN]} ({nearest.strategy}), distance "
            f"{nearest.distance:.3g}"
        )
    return lines


def _novelty(novelty: Distance) -> list[str]:
    """The distance of the frame and of its farthest atom from the training frames."""
    lines, atom = [], novelty.farthest_atom
    if novelty.distance is not None:
        within = _within(novelty.distance, novelty.threshold)
        if novelty.threshold is None:
            within = novelty.note or "not judged"
        if novelty.threshold is not None or atom is None:
            lines.append(
                f"novelty: distance {novelty.distance:.3g} from the nearest training frame, "
                f"{within}"
            )
    elif novelty.note:
        lines.append(f"novelty: {novelty.note}")
    if atom:
        where = f"novelty: atom {atom.index + 1} ({atom.element})"
        lines.append(
            f"{where}, no training frame has this element"
            if atom.distance is None
            else f"{where}, distance {atom.distance:.3g} from the nearest training atom of its "
            f"element, {_within(atom.distance, atom.threshold)}"
        )
    return lines


def _within(distance: float, limit: float | None) -> str:
    if limit is None:
        return ""
    return f"{'exceeds' if distance > limit else 'is within'} {limit:.3g}"
