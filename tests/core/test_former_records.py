"""Sentences and records of earlier versions are read as what they said."""

from __future__ import annotations

import json

import pytest

from trainspot.campaign.record import IterationRecord, records_of
from trainspot.cli._why import sentence
from trainspot.judge.decision import FrameDecision, Kind, Objection
from trainspot.judge.earlier import decision

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
