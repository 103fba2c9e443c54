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
from trainspot.campaign.record import FinalAudit, IterationRecord, Work, records_of
from trainspot.cli._why import as_json, in_words, sentence
from trainspot.common.errors import DataError
from trainspot.config.document import Document
from trainspot.config.load import resolve
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.judge.decision import FrameDecision, Kind, Objection, Way
from trainspot.judge.earlier import VERSION, decision
from trainspot.judge.judgement import Judgement
from trainspot.judge.verdict import State
from trainspot.judge.why import why

BEFORE = json.loads((Path(__file__).parent / "before" / "toy-loop.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def campaign(toy_campaign):
    return resolve(Document(Path("toy.yaml"), toy_campaign)).campaign


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
    assert not differing(BEFORE["records"], found)


def test_why_says_what_it_said(result, campaign):
    history = loop.history(result, campaign)
    for wanted, lines in zip(BEFORE["why"], BEFORE["words"], strict=True):
        account = why(wanted["frame"], history, result.dataset, result.failed)
        found = as_json(account)
        decided = found.pop("decided")
        assert (decided is None) is (wanted["decision"] is None)
        assert not differing(wanted, found)
        assert in_words(account) == [todays(line) for line in lines]


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
        assert IterationRecord.from_dict(content).to_dict() == content


def test_judgements_of_before_are_read_with_what_their_sentences_say():
    for content in BEFORE["judgements"]:
        found = Judgement.from_dict(content)
        assert list(found.selected) == content["selected"]
        assert found.verdict.value == content["verdict"]
        assert not any(one.told for one in found.decisions.values())
        assert {i: sentence(one) for i, one in found.decisions.items()} == content["reasons"]
        assert Judgement.from_dict(json.loads(json.dumps(found.to_dict()))) == found


JUDGED = "disagreement on stress of 1.2e-05 is within the threshold of 0.001 eV/Å³"
FAR = "; novelty: a distance of 0.146 from the nearest training frame exceeds 0.106"


@pytest.mark.parametrize(
    ("text", "kind", "cause"),
    [
        ("known already", Kind.KNOWN, ""),
        ("refused: a prediction is not finite", Kind.REFUSED, Objection.NON_FINITE),
        ("refused: atoms 1 (Si) and 4 (C) are 0.31 Å apart", Kind.REFUSED, Objection.OVERLAP),
        ("refused: atom 2 (Si) and its periodic image are 0.0100 Å apart", Kind.REFUSED, "overlap"),
        ("refused: a force of 1.2e+03 eV/Å exceeds 50 eV/Å", Kind.REFUSED, Objection.FORCE),
        (
            "refused: volume per atom is 8 times that of the start frame",
            Kind.REFUSED,
            Objection.VOLUME,
        ),
        (f"not selected: {JUDGED}", Kind.PASSED_OVER, "stress"),
        (f"selected: {JUDGED}{FAR}; one of 6 chosen among 15 (diverse)", Kind.SELECTED, "stress"),
        (f"audit: {JUDGED}; drawn at random from all", Kind.AUDIT, "stress"),
        (
            f"audit: {JUDGED}; drawn at random from the frames that the committee agrees on",
            Kind.AUDIT,
            "stress",
        ),
        (
            f"selected: {JUDGED}; drawn at random, for no threshold was fitted",
            Kind.SELECTED,
            "stress",
        ),
        (
            f"selected: {JUDGED}; drawn at random, for nothing new is flagged",
            Kind.SELECTED,
            "stress",
        ),
        (f"not selected: {JUDGED}; not among the 6 chosen of 15", Kind.PASSED_OVER, "stress"),
        (
            f"not selected: {JUDGED}; nearly the same as the known frame 6e747eb9f85f, 1.0e-04",
            Kind.PASSED_OVER,
            "stress",
        ),
        (
            f"not selected: {JUDGED}; nearly the same as the explored frame 6e747eb9f85f",
            Kind.PASSED_OVER,
            "stress",
        ),
        (f"not selected: {JUDGED}{FAR}; the campaign ends: exhausted", Kind.PASSED_OVER, "stress"),
    ],
)
def test_every_sentence_of_before_is_taken_apart(text, kind, cause):
    found = decision(text)
    assert (found.kind, found.cause) == (kind, cause)
    assert not found.told
    assert sentence(found) == text
    assert FrameDecision.from_dict(json.loads(json.dumps(found.to_dict()))) == found


@pytest.mark.parametrize(
    "text",
    [
        f"selected: {JUDGED}; because I say so",
        "refused: it is ugly",
        "selected: of course",
        "selected: disagreement on forces of 0.05 exceeds the threshold of 0.05 eV/Å",
        f"not selected: {JUDGED}; the campaign ends: foo",
        "selected: disagreement on forces of abc exceeds the threshold of 0.2 eV/Å",
        "selected: disagreement on forces of 0.3 exceeds the threshold of abc eV/Å",
        f"selected: {JUDGED}{FAR.replace('0.146', 'abc')}; one of 6 chosen among 15 (diverse)",
        f"not selected: {JUDGED}; nearly the same as the known frame 6e747eb9f85f, abc",
        "refused: atoms 1 (Si) and 4 (C) are abc Å apart",
        "refused: a force of abc eV/Å exceeds 50 eV/Å",
    ],
)
def test_a_sentence_that_is_not_understood_is_kept(text):
    found = decision(text)
    assert found.kind.value == text.partition(": ")[0]
    assert sentence(found) == text


def test_a_record_of_the_first_versions_is_read():
    """Keys came one by one; what is null or empty said nothing."""
    old = {
        "n": 2, "labelled": 58, "labelled_total": 58, "seconds": {"label": 9.0},
        "rmse": {"test": {"energy": {"mean": 0.1}, "forces": {}}, "validation": {}},
        "novelty": {"share": 0.95, "threshold": 0.3, "validation": 30}, "prospective": None,
    }  # fmt: skip
    found = IterationRecord.from_dict(old)
    assert found.error("test", "energy").mean == 0.1
    assert found.error("test", "forces") is found.error("validation", "energy") is None
    assert set(found.novelty.thresholds.values()) == {0.3}
    assert found.flagged is found.flagged_by is found.prospective is None
    assert "flagged" not in found.to_dict()
    assert IterationRecord.from_dict(found.to_dict()) == found
    assert records_of({"iterations": [old, {**old, "n": 1}]})[0].n == 1


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
