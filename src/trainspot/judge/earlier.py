"""Conversion of content of campaigns that earlier versions stored to the form of today.

Only this module reads old forms. Stored content has the key ``version`` since form 2. In form 1 a
judgement stored a sentence about each frame; this module parses these sentences.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from trainspot.common.errors import DataError
from trainspot.judge.decision import (
    Beyond,
    Contact,
    FrameDecision,
    Kind,
    Method,
    Objection,
    Twin,
    Way,
)
from trainspot.judge.novelty import DIMENSIONS
from trainspot.judge.verdict import State

VERSION: Final = 2
"""Version of the form in which judgements, records, scores and works of engines are stored."""


def judgement(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a stored judgement, with the fields of ``Judgement``.

    Raises:
        DataError: A newer version stored it.
    """
    fields = _checked(content)
    fields["novelty"] = novelty(fields.get("novelty") or {})
    if "decisions" not in fields:
        reasons: Mapping[str, str] = fields.pop("reasons")
        fields["decisions"] = {identity: decision(text) for identity, text in reasons.items()}
    return fields


def record(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a stored iteration, with the fields of ``IterationRecord``.

    Null and empty values stand for unknown values and are left out.

    Raises:
        DataError: A newer version stored it.
    """
    fields = {name: value for name, value in _checked(content).items() if value is not None}
    if "novelty" in fields:
        fields["novelty"] = novelty(fields["novelty"])
    for name in ("prospective", "calibration"):
        if name in fields:
            fields[name] = {key: value for key, value in fields[name].items() if value}
    if "rmse" in fields:
        by_split = {split: errors for split, errors in fields["rmse"].items() if errors}
        fields["rmse"] = {
            split: {name: error for name, error in errors.items() if error}
            for split, errors in by_split.items()
        }
    return fields


def score(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a stored score; form 1 differs by its missing version only.

    Raises:
        DataError: A newer version stored it.
    """
    return _checked(content)


def work(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a stored work of engines; form 1 differs by its missing version only.

    Raises:
        DataError: A newer version stored it.
    """
    return _checked(content)


def novelty(content: Mapping[str, Any]) -> dict[str, Any]:
    """The thresholds of novelty; form 1 had one ``threshold`` for frames of all dimensions."""
    fields = dict(content)
    threshold = fields.pop("threshold", None)
    if threshold is not None:
        fields["thresholds"] = dict.fromkeys(DIMENSIONS, threshold)
    return fields


def _checked(content: Mapping[str, Any]) -> dict[str, Any]:
    """A copy without its version.

    Raises:
        DataError: The version is newer than this one, or damaged.
    """
    fields = dict(content)
    version = fields.pop("version", 1)
    if not isinstance(version, int):
        raise DataError("the version is damaged")
    if version > VERSION:
        raise DataError("a newer trainspot wrote this", hint="update trainspot to read it")
    return fields


# ── sentences of form 1 ───────────────────────────────────────────────────────
_NUMBER: Final = r"[-+.\w]+"
_JUDGED: Final = re.compile(
    r"(?P<kind>selected|audit|not selected): disagreement on (?P<cause>\w+) of "
    rf"(?P<value>{_NUMBER}) (?P<word>exceeds|is within) the threshold of (?P<limit>{_NUMBER}) [^;]+"
    rf"(?:; novelty: a distance of (?P<far>{_NUMBER}) from the nearest training frame exceeds "
    rf"(?P<novel>{_NUMBER}))?(?:; (?P<how>.+))?"
)
_REFUSED: Final[Mapping[Objection, re.Pattern[str]]] = {
    Objection.NON_FINITE: re.compile(r"refused: a prediction is not finite"),
    Objection.OVERLAP: re.compile(
        r"refused: atoms? (?P<first>\d+) \((?P<one>\w+)\) and "
        r"(?:(?P<second>\d+) \((?P<two>\w+)\)|its periodic image) are "
        rf"(?P<value>{_NUMBER}) Å apart"
    ),
    Objection.FORCE: re.compile(
        rf"refused: a force of (?P<value>{_NUMBER}) eV/Å exceeds (?P<limit>{_NUMBER}) eV/Å"
    ),
    Objection.VOLUME: re.compile(
        rf"refused: volume per atom is (?P<value>{_NUMBER}) times that of the start frame"
    ),
}
_Parts = re.Match[str]
_METHODS: Final[tuple[tuple[re.Pattern[str], Callable[[_Parts], Method]], ...]] = (
    (
        re.compile(r"one of (\d+) chosen among (\d+) \((.+)\)"),
        lambda m: Method(Way.STRATEGY, m[3], int(m[1]), int(m[2])),
    ),
    (
        re.compile(r"not among the (\d+) chosen of (\d+)"),
        lambda m: Method(Way.OUTNUMBERED, chosen=int(m[1]), among=int(m[2])),
    ),
    (
        re.compile(rf"nearly the same as the known frame (\w+), ({_NUMBER})"),
        lambda m: Method(Way.NEAR_DUPLICATE, twin=Twin(m[1], is_known=True, distance=float(m[2]))),
    ),
    (
        re.compile(r"nearly the same as the explored frame (\w+)"),
        lambda m: Method(Way.NEAR_DUPLICATE, twin=Twin(m[1], is_known=False)),
    ),
    (
        re.compile(r"the campaign ends: (\w+)"),
        lambda m: Method(Way.CAMPAIGN_ENDS, verdict=State(m[1])),
    ),
    (
        re.compile(r"drawn at random, for no threshold was fitted"),
        lambda _: Method(Way.UNFITTED),
    ),
    (
        re.compile(r"drawn at random, for nothing new is flagged"),
        lambda _: Method(Way.UNFLAGGED),
    ),
    (re.compile(r"drawn at random from all"), lambda _: Method(Way.AUDIT)),
    (
        re.compile(r"drawn at random from the frames that the committee agrees on"),
        lambda _: Method(Way.FINAL_AUDIT),
    ),
)


def decision(text: str) -> FrameDecision:
    """The decision in a sentence of form 1; a sentence that cannot be parsed is kept."""
    try:
        parsed = _parsed(text)
    except ValueError:  # a word where a number should be
        parsed = None
    if parsed is not None:
        return parsed
    kind = next((kind for kind in Kind if text.startswith(f"{kind.value}: ")), Kind.PASSED_OVER)
    return FrameDecision(kind, told=text)


def _parsed(text: str) -> FrameDecision | None:
    """The decision in a sentence; ``None`` if the sentence has another form.

    Raises:
        ValueError: The sentence has the form, with a word where a number should be.
    """
    if text == "known already":
        return FrameDecision(Kind.KNOWN)
    if match := _JUDGED.fullmatch(text):
        return _judged(match, text)
    for cause, pattern in _REFUSED.items():
        if match := pattern.fullmatch(text):
            return _refused(cause, match)
    return None


def _judged(match: _Parts, text: str) -> FrameDecision:
    kind, cause = Kind(match["kind"]), match["cause"]
    value, limit = float(match["value"]), float(match["limit"])
    method = _method(match["how"]) if match["how"] else None
    if match["how"] and method is None:
        return FrameDecision(kind, cause, value, limit, told=text)
    far = Beyond(float(match["far"]), float(match["novel"])) if match["far"] else None
    hidden = (match["word"] == "exceeds") is not (value > limit)  # by rounding to three digits
    return FrameDecision(kind, cause, value, limit, method, far, told=text if hidden else "")


def _method(how: str) -> Method | None:
    """The way of a choice in words; ``None`` for words that cannot be parsed."""
    attempts = ((pattern.fullmatch(how), make) for pattern, make in _METHODS)
    try:
        return next((make(parts) for parts, make in attempts if parts), None)
    except ValueError:  # an unknown verdict, or a word where a number should be
        return None


def _refused(cause: Objection, match: _Parts) -> FrameDecision:
    said = match.groupdict()
    value, limit = (
        None if said.get(key) is None else float(said[key]) for key in ("value", "limit")
    )
    contact = None
    if cause is Objection.OVERLAP:
        first = int(said["first"]) - 1
        second = first if said["second"] is None else int(said["second"]) - 1
        contact = Contact((first, second), (said["one"], said["two"] or said["one"]))
    return FrameDecision(Kind.REFUSED, cause.value, value, limit, contact=contact)
