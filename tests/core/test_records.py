"""What was decided and counted: as the version before did, read from it, and stored for good.

``before/toy-loop.json`` is what the plain loop made of the campaign ``toy_campaign`` (in
``tests/conftest.py``) on two cells of aluminium at commit b123953, when records were dictionaries
and decisions were sentences: ``records`` is ``loop.Result.records``, ``judgements`` holds
``Judgement.to_dict()`` of each iteration, ``ids`` those of the final dataset, ``why`` and ``words``
what ``trainspot why`` said of frames of every kind, as JSON and in lines.
"""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from pathlib import Path

import pytest
from ase.build import bulk

from trainspot.campaign import loop
from trainspot.campaign.decisions import Score
from trainspot.campaign.engines import engines_of
from trainspot.campaign.exit import Ending, Exit, exit_of
from trainspot.campaign.record import FinalAudit, IterationRecord, Work
from trainspot.cli._why import as_json, in_words, sentence
from trainspot.common.errors import DataError
from trainspot.config.document import Document
from trainspot.config.load import resolve
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.judge.decision import FrameDecision, Way
from trainspot.judge.earlier import VERSION
from trainspot.judge.judgement import Judgement
from trainspot.judge.verdict import State
from trainspot.judge.why import why

BEFORE = json.loads((Path(__file__).parent / "before" / "toy-loop.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def campaign(toy_campaign):
    before = toy_campaign | {"select": toy_campaign["select"] | {"novelty_of": "frames"}}
    return resolve(Document(Path("toy.yaml"), before)).campaign


@pytest.fixture(scope="module")
def result(campaign, tmp_path_factory):
    aluminium = Dataset.from_frames([Frame.from_atoms(bulk("Al", cubic=True).repeat((2, 1, 1)))])
    return loop.run(aluminium, campaign, engines_of(campaign, tmp_path_factory.mktemp("loop")))


def same(one, two):
    """The same JSON, numbers but for what processors differ by."""
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(map(same, one, two))
    if isinstance(one, float):
        return two == pytest.approx(one, rel=1e-6, abs=1e-12)
    return one == two


def differing(one, two, place=""):
    """Where two JSON values differ, for a message that helps."""
    if isinstance(one, dict) and isinstance(two, dict) and one.keys() == two.keys():
        return [p for key in one for p in differing(one[key], two[key], f"{place}.{key}")]
    if isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        pairs = enumerate(zip(one, two, strict=True))
        return [p for k, (a, b) in pairs for p in differing(a, b, f"{place}[{k}]")]
    return [] if same(one, two) else [f"{place}: {one!r} is {two!r}"]


# ── as the version before ─────────────────────────────────────────────────────
def test_a_campaign_chooses_the_frames_it_chose_before(result):
    assert result.dataset.ids == BEFORE["ids"]
    for turn, wanted in zip(result.turns, BEFORE["judgements"], strict=True):
        found = turn.decision.judgement
        assert list(found.selected) == wanted["selected"]
        assert list(found.audit) == wanted["audit"]
        assert list(found.flagged) == wanted["flagged"]
        assert {i: sentence(one) for i, one in found.decisions.items()} == wanted["reasons"]
        others = wanted.keys() - {"reasons"}
        assert not differing(
            {k: found.to_dict()[k] for k in others}, {k: wanted[k] for k in others}
        )


def test_the_json_of_a_record_is_what_it_was(result):
    found = [record.to_dict() for record in result.records]
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert not differing(*map(without_what_is_reckoned_anew, (BEFORE["records"], found)))
    for one in found:
        assert ("flags" in one) is ("prospective" in one)
        assert all(fit["bars_from"] == "validation" for fit in one["calibration"].values())


BARS = {
    "atoms",
    "sigma",
    "miscalibration",
    "atom_sigma",
    "bar_90",
    "atom_bar_90",
    "bars_from",
    "bars_frames",
}
CROSS_VALIDATED = {"tpr", "ppv", "tpr_interval", "ppv_interval", "coverage", "interval", "basis"}
ON_NEW_LABELS = {"miscalibration", "within_sigma", "within_90", "atom_coverage", "atom_within_90"}


def without_what_is_reckoned_anew(records):
    """Without bars and rates, which have other definitions since decision 0072, and new keys.

    Slopes and thresholds stay, and with them everything that was chosen.
    """
    kept = []
    for record in records:
        new = {"flags", "absolute", "common_absolute"}
        one = {key: value for key, value in record.items() if key not in new}
        one["calibration"] = {
            name: {k: v for k, v in fit.items() if k not in BARS | CROSS_VALIDATED}
            for name, fit in record["calibration"].items()
        }
        if "prospective" in record:
            one["prospective"] = {
                name: _old_rates(rates) for name, rates in record["prospective"].items()
            }
        kept.append(one)
    return kept


def _old_rates(rates):
    gone = ON_NEW_LABELS | {f"{name}_interval" for name in ON_NEW_LABELS}
    kept = {key: value for key, value in rates.items() if key not in gone}
    return kept | ({"audit": _old_rates(rates["audit"])} if "audit" in rates else {})


def test_why_says_what_it_said(result, campaign):
    history = loop.history(result, campaign)
    for wanted, lines in zip(BEFORE["why"], BEFORE["words"], strict=True):
        account = why(wanted["frame"], history, result.dataset, result.failed)
        found = as_json(account)
        decided = found.pop("decided")
        for part, wanted_part in _with_sigma(found, wanted):
            # A quantile with the rank of conformal prediction in place of an interpolated one.
            now, then = part.pop("predicted_error"), wanted_part.pop("predicted_error")
            assert now == pytest.approx(then, rel=0.35)
        assert (decided is None) is (wanted["decision"] is None)
        assert not differing(wanted, found)
        said = [re.sub(r"; sigma \S+", "; sigma", line) for line in in_words(account)]
        assert said == [re.sub(r"; sigma \S+", "; sigma", todays(line)) for line in lines]


def _with_sigma(*accounts):
    """The parts of some accounts that have a sigma, side by side."""
    each = [
        [*(account.get("properties") or {}).values(), *filter(None, [account.get("worst_atom")])]
        for account in accounts
    ]
    return [pair for pair in zip(*each, strict=True) if "predicted_error" in pair[0]]


FROM_START = "the frame was in the dataset from the start"


def todays(line):
    """A line of before in today's words, which say the same."""
    for pattern, words in (
        (r"^set: ", "split: "),
        (r"^origin: ", "strategy: "),
        (r"^never explored: .*", f"not explored and not judged: {FROM_START}"),
        (r"; predicted error ", "; sigma "),
        (r"^novelty: (?=\d)", "novelty: distance "),
        (r"training frame, beyond ", "training frame, exceeds "),
        (r"training frame, within ", "training frame, is within "),
    ):  # fmt: skip
        line = re.sub(pattern, words, line)
    return line


# ── reading the version before ────────────────────────────────────────────────
def test_records_of_before_are_read_and_shown_as_they_were():
    for content in BEFORE["records"]:
        found = IterationRecord.from_dict(content).to_dict()
        assert content == known_then(found, content)


def known_then(found, before):
    """The keys of before; new keys say that nothing is known."""
    if not isinstance(before, dict):
        return found
    for key in found.keys() - before.keys():
        assert found[key] in (None, "", 0), key
    return {key: known_then(found[key], value) for key, value in before.items()}


def test_judgements_of_before_are_read_with_what_their_sentences_say():
    for content in BEFORE["judgements"]:
        found = Judgement.from_dict(content)
        assert list(found.selected) == content["selected"]
        assert found.verdict.value == content["verdict"]
        assert not any(one.told for one in found.decisions.values())
        assert {i: sentence(one) for i, one in found.decisions.items()} == content["reasons"]
        assert Judgement.from_dict(json.loads(json.dumps(found.to_dict()))) == found


# ── what is stored ────────────────────────────────────────────────────────────
def test_what_is_stored_says_its_version_and_comes_back(result):
    for turn, record in zip(result.turns, result.records, strict=True):
        assert record.stored() == record.to_dict() | {"version": VERSION}
        assert IterationRecord.from_dict(json.loads(json.dumps(record.stored()))) == record
        judgement = turn.decision.judgement
        content = json.loads(json.dumps(judgement.to_dict(), allow_nan=False))
        assert content["version"] == VERSION
        assert Judgement.from_dict(content) == judgement
        ways = {one.method.way for one in judgement.decisions.values() if one.method}
        assert ways <= set(Way)


def test_a_final_audit_is_part_of_a_record(result):
    audited = replace(result.records[0], final_audit=FinalAudit(2, State.CONTINUE))
    assert audited.to_dict()["final_audit"] == {"misses": 2, "conclusion": "continue"}
    assert IterationRecord.from_dict(audited.stored()) == audited


def test_a_score_and_the_work_of_engines_come_back(result):
    scored = result.turns[0].score
    found = Score.from_dict(json.loads(json.dumps(scored.to_dict())))
    assert found.prospective == scored.prospective
    assert found.audit_pairs.frame_ids == scored.audit_pairs.frame_ids
    assert (found.misses, found.conclusion) == (scored.misses, None)
    ended = replace(scored, conclusion=State.CONVERGED)
    assert Score.from_dict(ended.to_dict()).conclusion is State.CONVERGED
    record = result.records[0]
    mine = {one.name: getattr(record, one.name) for one in fields(Work)}
    work = Work(**mine)
    assert Work.from_dict(work.to_dict()) == work
    for value in (scored, work):
        content = value.to_dict()
        assert content.pop("version") == VERSION
        assert type(value).from_dict(content).to_dict() == value.to_dict()  # form 1 had no version


@pytest.mark.parametrize(
    "ended",
    [
        Exit(0, "converged"),
        Exit(420, "max_iterations", Ending("the error is large", "Add iterations", {"n": 3})),
        Exit(None, "killed", Ending("")),
    ],
)
def test_the_end_of_a_campaign_comes_back(ended):
    content = json.loads(json.dumps(ended.to_dict()))
    assert exit_of({"exit": content}) == ended
    assert set(content) - {"status", "label"} == (
        {"message", "remedy", "counts"} if ended.ending else set()
    )


def test_the_end_of_a_campaign_is_read_as_far_as_it_is_known():
    assert exit_of({}) is exit_of({"exit": None}) is None
    ended = exit_of({"exit": {"status": 420, "label": "max_iterations", "remedy": "Go on"}})
    assert (ended.status, ended.label, ended.why) == (420, "max_iterations", "Go on.")
    assert exit_of({"exit": {"status": 0, "label": "converged"}}).why == ""
    for damaged in ({"status": "well"}, {"message": 3}, {"counts": 1}, ["killed"], "killed"):
        with pytest.raises(DataError, match="not the end of a campaign"):
            exit_of({"exit": damaged})


STORED = [IterationRecord.from_dict, Judgement.from_dict, Score.from_dict, Work.from_dict]


@pytest.mark.parametrize("read", STORED)
def test_something_else_is_refused_in_one_line(read):
    for content in ({}, {"n": "one"}, {"version": "new"}):
        with pytest.raises(DataError):
            read(content)


@pytest.mark.parametrize(
    "damage",
    [
        {"reasons": 3},
        {"reasons": ["known already"]},
        {"reasons": {"a": 3}},
        {"reasons": {"a": None}},
        {"decisions": [1]},
        {"decisions": {"a": {"kind": "praised"}}},
        {"novelty": 3},
        {"novelty": "far"},
        {"novelty": ["far"]},
        {"selected": 3},
        {"verdict": "foo"},
    ],
)
def test_a_damaged_judgement_is_refused_in_one_line(damage):
    content = dict(BEFORE["judgements"][0])
    if "decisions" in damage:
        content.pop("reasons")
    with pytest.raises(DataError, match="this is not a judgement"):
        Judgement.from_dict(content | damage)


@pytest.mark.parametrize("read", STORED)
@pytest.mark.parametrize("content", [3, None, "judgement", ["verdict"]])
def test_stored_content_that_is_no_mapping_is_refused_in_one_line(read, content):
    with pytest.raises(DataError, match=r"(this is|these are) not"):
        read(content)


@pytest.mark.parametrize("read", STORED)
def test_what_a_newer_version_stored_is_refused(read):
    with pytest.raises(DataError, match="a newer trainspot wrote this; update trainspot"):
        read({"n": 1, "version": VERSION + 1})


def test_what_was_decided_about_a_frame_is_read_strictly():
    with pytest.raises(DataError, match="not a decision about a frame"):
        FrameDecision.from_dict({"kind": "praised"})
