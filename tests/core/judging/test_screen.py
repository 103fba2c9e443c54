"""Overlaps that a force must confirm, and refused frames that are labelled all the same."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from trainspot import io
from trainspot.campaign.decisions import NO_PAIRS, Rules, score
from trainspot.campaign.decisions import decide as decide_iteration
from trainspot.campaign.record import ScreenAudit
from trainspot.cli import main
from trainspot.cli._why import sentence
from trainspot.config.document import Document
from trainspot.config.load import resolve
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels, Origin
from trainspot.data.refused import MARK, Outcome
from trainspot.judge import Judgement, judge
from trainspot.judge.atoms import collect_atoms
from trainspot.judge.calibrate import Calibration
from trainspot.judge.decision import FrameDecision, Kind, Objection
from trainspot.judge.pairs import collect_pairs
from trainspot.judge.screen import screen
from trainspot.judge.settings import (
    CalibrateSettings,
    JudgeSettings,
    ScreenSettings,
    SelectSettings,
    Tolerance,
)
from trainspot.split import assign

NOTHING = Dataset.from_frames([])
SILICON = 2 * 1.11  # Å, sum of the covalent radii
LIMITS = ScreenSettings()
QUIET = {"method": "random", "novelty": None, "near_duplicate": 0.0, "share": 1.0}


def row_of_atoms(*gaps, n=5):
    """A chain of silicon atoms, the first ones closer: gaps in sums of the covalent radii."""
    steps = [gap * SILICON for gap in gaps] + [2.4] * (n - 1 - len(gaps))
    places = np.concatenate([[0.0], np.cumsum(steps)])
    return Frame.make([14] * n, [[x, 0.0, 0.0] for x in places], origin=Origin(strategy="md"))


def with_forces(predict, frames, forces):
    """Predictions with one force (eV/Å) on some atoms of one member: (frame, atom) → force."""
    dataset = Dataset.from_frames(frames)
    predictions = predict(dataset, noise=0.0)
    values = np.zeros_like(predictions.forces)
    for (row, atom), force in forces.items():
        values[1, predictions.offsets[row] + atom, 2] = force
    return dataset, replace(predictions, forces=values)


def refusals(predict, frame, forces, limits=LIMITS):
    dataset, predictions = with_forces(
        predict, [frame], {(0, atom): force for atom, force in forces.items()}
    )
    return screen(dataset, NOTHING, predictions, limits).decisions.get(frame.id)


# ── overlaps ──────────────────────────────────────────────────────────────────
def test_a_close_pair_with_small_forces_is_a_frame_like_any_other(predict):
    frame = row_of_atoms(0.52)
    assert refusals(predict, frame, {0: 9.9, 1: -9.9}) is None


def test_a_large_force_of_any_member_on_either_atom_refuses(predict):
    frame = row_of_atoms(0.52)
    for atom in (0, 1):
        found = refusals(predict, frame, {atom: -10.1})
        assert (found.kind, found.cause) == (Kind.REFUSED, Objection.OVERLAP)
        assert found.force.value == pytest.approx(10.1)
        assert found.force.limit == LIMITS.overlap_force
        assert found.limit == pytest.approx(0.6 * SILICON)


def test_a_large_force_elsewhere_does_not_confirm_an_overlap(predict):
    assert refusals(predict, row_of_atoms(0.52), {3: 30.0}) is None


def test_all_close_pairs_are_looked_at(predict):
    frame = row_of_atoms(0.45, 1.1, 0.58)  # the second pair is less close, and the forces are there
    found = refusals(predict, frame, {3: 20.0})
    assert found.contact.atoms == (2, 3)
    assert found.value == pytest.approx(0.58 * SILICON, abs=1e-6)


def test_below_the_floor_no_force_is_needed(predict):
    found = refusals(predict, row_of_atoms(0.39), {})
    assert found.cause == Objection.OVERLAP
    assert found.force is None
    assert found.limit == pytest.approx(0.4 * SILICON)
    assert refusals(predict, row_of_atoms(0.41), {}) is None


def test_the_limits_are_the_users(predict):
    frame = row_of_atoms(0.52)
    assert refusals(predict, frame, {0: 5.0}, ScreenSettings(overlap_force=4.0))
    assert refusals(predict, frame, {}, ScreenSettings(overlap_floor=1.0)).limit == pytest.approx(
        0.6 * SILICON
    )
    assert refusals(predict, row_of_atoms(0.35), {}, ScreenSettings(overlap=0.3)) is None
    assert refusals(predict, row_of_atoms(0.05), {0: 30.0}, ScreenSettings(overlap=0.0)) is None


def test_the_protocol_of_the_paper_refuses_by_distance_alone(predict):
    limits = resolve(Document(__file__, {"protocol": "paper"})).campaign.screen
    assert refusals(predict, row_of_atoms(0.59), {}, limits)
    assert refusals(predict, row_of_atoms(0.61), {0: 30.0}, limits) is None


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(0.2, 0.9), min_size=1, max_size=4),
    st.lists(st.floats(0.0, 49.0), min_size=5, max_size=5),
    st.floats(0.1, 40.0),
)
def test_no_frame_is_refused_for_what_is_not_known(predict, gaps, forces, limit):
    """Neither without predictions, nor with a higher limit on forces."""
    frame = row_of_atoms(*gaps)
    dataset, predictions = with_forces(predict, [frame], {(0, k): f for k, f in enumerate(forces)})
    strict, mild = ScreenSettings(overlap_force=limit), ScreenSettings(overlap_force=limit + 5.0)
    refused = {
        name: bool(screen(dataset, NOTHING, *arguments).refused)
        for name, arguments in {
            "strict": (predictions, strict),
            "mild": (predictions, mild),
            "blind": (None, strict),
            "alone": (predictions, ScreenSettings(overlap_floor=1.0)),
        }.items()
    }
    assert refused["blind"] <= refused["mild"] <= refused["strict"] <= refused["alone"]
    assert refused["blind"] == (min(gaps) < 0.4)
    assert refused["alone"] == (min(gaps) < 0.6)


def test_the_sentence_names_distance_force_and_limits(predict):
    assert sentence(refusals(predict, row_of_atoms(0.52), {1: 35.0})) == (
        "refused: atoms 1 (Si) and 2 (Si) are 1.15 Å apart, closer than 1.33 Å, and a member "
        "predicts a force of 35 eV/Å on one of them, which exceeds 10 eV/Å"
    )
    assert sentence(refusals(predict, row_of_atoms(0.3), {})) == (
        "refused: atoms 1 (Si) and 2 (Si) are 0.67 Å apart, closer than 0.89 Å"
    )


def test_what_an_earlier_version_stored_means_the_same():
    stored = {
        "kind": "refused",
        "cause": "overlap",
        "value": 1.15,
        "limit": 1.332,
        "contact": {"atoms": [0, 1], "elements": ["Si", "Si"]},
    }
    found = FrameDecision.from_dict(stored)
    assert found.is_refused
    assert found.force is None
    assert found.to_dict() == stored
    assert sentence(found) == (
        "refused: atoms 1 (Si) and 2 (Si) are 1.15 Å apart, closer than 1.33 Å"
    )


# ── the audit of the screen ───────────────────────────────────────────────────
@pytest.fixture
def exploration(predict):
    """Twelve frames: 4 valid, 4 refused by force, 2 overlaps, 1 below the floor, 1 not finite."""
    frames = [row_of_atoms(1.0 + k / 100) for k in range(9)]
    frames += [row_of_atoms(0.5), row_of_atoms(0.55), row_of_atoms(0.3)]
    forces = {(row, 0): 400.0 for row in range(4)} | {(9, 0): 30.0, (10, 1): 30.0}
    dataset, predictions = with_forces(predict, frames, forces)
    values = predictions.forces.copy()
    values[0, predictions.offsets[8]] = np.nan
    return dataset, replace(predictions, forces=values)


def judged(exploration, number, known=NOTHING, seed=3):
    dataset, predictions = exploration
    options = JudgeSettings(
        screen=ScreenSettings(audit=number), select=SelectSettings(**QUIET, max_frames=3)
    )
    return judge(
        dataset,
        predictions,
        {"forces": Calibration.given("forces", 1e-9)},
        known,
        options,
        iteration=1,
        seed=seed,
        starts=NOTHING,
    )


def test_only_frames_that_can_be_labelled_are_drawn(exploration):
    found = judged(exploration, 99)
    ids = exploration[0].ids
    assert set(found.screen_audit) == {*ids[:4], ids[9], ids[10]}
    assert found.refused == {"force": 4, "non_finite": 1, "overlap": 3}
    for identity in found.screen_audit:
        one = found.decisions[identity]
        assert one.kind is Kind.SCREEN_AUDIT
        assert one.is_refused
        assert sentence(one).startswith("screen audit: ")
        assert sentence(one).endswith("; one of 6 drawn at random from 6 refused frames")
    assert {found.decisions[ids[row]].kind for row in (8, 11)} == {Kind.REFUSED}
    assert not set(found.screen_audit) & {*found.selected, *found.audit}
    assert Judgement.from_dict(found.to_dict()) == found


def test_other_draws_stay_as_they_are(exploration):
    without, found = judged(exploration, 0), judged(exploration, 2)
    assert not without.screen_audit
    assert len(found.screen_audit) == 2
    for name in ("selected", "audit", "flagged", "refused", "valid", "verdict"):
        assert getattr(found, name) == getattr(without, name)
    assert found.screen_audit == judged(exploration, 2).screen_audit
    draws = {judged(exploration, 2, seed=seed).screen_audit for seed in range(8)}
    assert len(draws) > 3


def test_known_frames_are_not_drawn(exploration):
    first = judged(exploration, 4).screen_audit
    second = judged(exploration, 99, known=exploration[0].select(first)).screen_audit
    assert len(second) == 2
    assert not set(first) & set(second)


def rules(number, labels=None):
    options = JudgeSettings(
        screen=ScreenSettings(audit=number), select=SelectSettings(**QUIET, max_frames=3)
    )
    return Rules(Tolerance(), CalibrateSettings(), options, 3, labels)


def decided(exploration, number, labels=None, failed=NOTHING):
    dataset, predictions = exploration
    calibrations = {"forces": Calibration.given("forces", 1e-9)}
    return decide_iteration(
        NOTHING, dataset, NOTHING, predictions, calibrations, failed, rules(number, labels), 1
    )


def test_the_label_budget_bounds_the_screen_audit(exploration):
    assert len(decided(exploration, 5, labels=100).chosen) == 8
    found = decided(exploration, 5, labels=5)
    assert len(found.chosen) == 5
    assert len(found.judgement.screen_audit) == 2
    assert found.judgement.selected == decided(exploration, 0).judgement.selected
    dropped = [d for d in found.judgement.decisions.values() if d.kind is Kind.REFUSED]
    assert all(one.method is None for one in dropped)
    assert not decided(exploration, 5, labels=3).judgement.screen_audit
    assert not decided(exploration, 5, labels=3).judgement.budget_spent


def labelled(frames, force):
    """Labels with this force on the first atom of each frame."""
    forces = {i: np.eye(5, 3) * value for i, value in force.items()}
    return Dataset.from_frames(
        frame.with_(labels=Labels(-1.0, forces.get(frame.id, np.zeros((5, 3))), None, "t"))
        for frame in frames
    )


def test_labels_show_the_mistakes_of_the_screen(exploration):
    """Unphysical frames are kept with their labels and are used for nothing."""
    outcome = decided(exploration, 3)
    drawn = outcome.judgement.screen_audit
    marks = [frame.id for frame in outcome.chosen if MARK in frame.info]
    assert sorted(marks) == sorted(drawn)
    done = assign(labelled(outcome.chosen, {drawn[0]: 49.0, drawn[1]: 51.0}), seed=3)
    splits = {frame.id: frame.split for frame in done}
    assert [splits[i] for i in drawn] == ["train", None, "train"]
    assert None not in {splits[i] for i in outcome.judgement.selected}
    assert Outcome.of(done) == Outcome(3, 2)
    predictions = exploration[1]
    thresholds = {"forces": Calibration.given("forces", 1e-9)}
    scored = score(done, predictions, thresholds, outcome.judgement, NO_PAIRS, rules(3), 1)
    assert scored.screen_audit == ScreenAudit(3, 3, 2)
    assert type(scored).from_dict(scored.to_dict()).screen_audit == scored.screen_audit
    assert not set(scored.audit_pairs.frame_ids) & set(drawn)
    chosen = outcome.judgement.selected + outcome.judgement.audit
    assert scored.prospective["forces"].pairs == len(chosen)


def test_refused_frames_are_in_no_calibration(predict):
    frames = [row_of_atoms(1.0 + k / 100) for k in range(4)]
    marked = frames[0].with_(info={MARK: {"cause": "force", "max_force": 50.0}})
    done = labelled([marked, *frames[1:]], {marked.id: 90.0})
    predictions = predict(done)
    pairs = collect_pairs(done, predictions)
    assert dict(zip(pairs.frame_ids, pairs.held_out, strict=True))[marked.id] == np.False_
    assert pairs.held_out.sum() == 3
    assert len(collect_atoms(done, predictions).delta) == 3 * 5


def test_the_splits_of_other_frames_stay_as_they_are():
    frames = [
        row_of_atoms(1.0 + k / 100).with_(origin=Origin("md", trajectory=f"{k // 3}"))
        for k in range(30)
    ]
    mark = {MARK: {"cause": "force", "max_force": 50.0}}
    rows = (4, 11, 20)
    marked = [f.with_(info=mark) if k in rows else f for k, f in enumerate(frames)]
    force = {frames[4].id: 10.0, frames[11].id: 70.0}
    others = Dataset.from_frames(f for k, f in enumerate(frames) if k not in rows)
    alone = {frame.id: frame.split for frame in assign(labelled(others, {}), seed=1)}
    mixed = labelled([f for k, f in enumerate(marked) if k != 20], force)
    found = assign(Dataset.concatenate([mixed, Dataset.from_frames([marked[20]])]), seed=1)
    splits = {frame.id: frame.split for frame in found}
    assert {i: splits[i] for i in alone} == alone
    assert [splits[frames[row].id] for row in rows] == ["train", None, None]
    again = {frame.id: frame.split for frame in assign(found, seed=1)}
    assert again == splits


def test_select_writes_refused_frames_with_their_mark(exploration, tmp_path):
    dataset, predictions = exploration
    predictions.write(tmp_path / "p.h5")
    io.write(dataset, tmp_path / "frames.h5")
    content = "screen: {audit: 2, max_force: 20}\nselect: {audit: 0, novelty: null}\n"
    (tmp_path / "campaign.yaml").write_text(content)
    args = ["select", tmp_path / "p.h5", "--frames", tmp_path / "frames.h5"]
    args += ["--thresholds", "forces=1e-9", "--config", tmp_path / "campaign.yaml", "--json"]
    args += ["-o", tmp_path / "next.extxyz"]
    said = CliRunner().invoke(main, [str(arg) for arg in args], catch_exceptions=False)
    answer = json.loads(said.stdout)
    drawn = answer["screen_audit"]
    assert len(drawn) == 2
    marks = {frame.id: frame.info.get(MARK) for frame in io.read(tmp_path / "next.extxyz")}
    assert {i for i, mark in marks.items() if mark} == set(drawn) < set(marks)
    assert all(marks[i]["max_force"] == 20.0 for i in drawn)
    assert all(answer["reasons"][i].startswith("screen audit: ") for i in drawn)
