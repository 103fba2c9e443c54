"""The benchmark of labels: its campaigns are valid, its rows say what its tracks say."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from trainspot.campaign.decisions import prepare
from trainspot.config.document import Document
from trainspot.config.load import resolve
from trainspot.judge.draws import limited
from trainspot.rehearse.trial import Point, Track

FILE = Path(__file__).parents[2] / "benchmarks" / "labels.py"


@pytest.fixture(scope="module")
def labels():
    sys.path.insert(0, str(FILE.parent))
    try:
        spec = importlib.util.spec_from_file_location("labels_benchmark", FILE)
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(FILE.parent))
        sys.modules.pop("labels_benchmark", None)


def test_there_are_three_systems_and_the_paper_is_untouched(labels):
    systems = labels.systems()
    assert len(systems) == 3
    for system in systems.values():
        made = labels.all_arms(labels.campaign(system, quick=False))
        assert list(made)[:3] == ["campaign", "paper", "random"]
        paper = made["paper"]
        assert paper.calibrate.method == "regression"
        assert (paper.select.method, paper.select.audit, paper.select.novelty) == (
            "random",
            0,
            None,
        )
        for name, changed in labels.VARIANTS.items():
            base = made["campaign"].model_dump()
            for section, values in changed.items():
                base[section] |= values
            assert made[name].model_dump() == base


def test_the_frugal_arm_is_the_protocol(labels):
    made = labels.all_arms(labels.campaign(labels.systems()["nickel"], quick=False))["frugal"]
    plan = made.explore.plan
    explored = plan.starts * round(plan.time / plan.sample_every)
    protocol = resolve(Document(Path("x"), {"protocol": "frugal", "structures": ["x"]})).campaign
    assert limited(protocol.select, explored).max_frames == made.select.max_frames
    assert protocol.select.held_out == made.select.held_out
    same = {"share", "max_frames"}
    assert made.select.model_dump(exclude=same) == protocol.select.model_dump(exclude=same)
    assert made.calibrate == protocol.calibrate


def test_the_arm_of_a_third_has_the_batch_of_the_defaults(labels):
    """And the rest of what is judged, selected and calibrated at its default, too."""
    made = labels.all_arms(labels.campaign(labels.systems()["nickel"], quick=False))
    defaults = resolve(Document(Path("x"), {"structures": ["x"]})).campaign
    for name in ("campaign, a third", "random, a third"):
        assert made[name].select.share == defaults.select.share
        assert made[name].select.max_frames == defaults.select.max_frames
    assert made["campaign, a third"].select == defaults.select
    assert made["campaign, a third"].calibrate == defaults.calibrate
    paper = resolve(Document(Path("x"), {"protocol": "paper", "structures": ["x"]})).campaign
    assert made["paper, all flagged"].select == paper.select
    assert {*labels.ARMS, *(arm for pair in labels.PAIRS for arm in pair)} <= set(made)


def track(arm, seed, step):
    points = [
        Point(20 + step * k, 0.1 * (20 + step * k), error, error, 0.01, 30, 9, 10)
        for k, error in enumerate((0.4, 0.2, 0.1))
    ]
    return Track(arm, seed, "exhausted", tuple(points))


def test_a_row_is_the_ratio_of_what_is_needed(labels):
    found = {
        name: {arm: [track(arm, s, step) for s in range(5)] for arm, step in steps.items()}
        for name, steps in (
            ("made-up", {"campaign": 10, "paper": 60}),
            ("other", {"campaign": 20, "paper": 20}),
        )
    }
    row = labels.row({"made-up": found["made-up"]}, "campaign", "paper", "labels", judged=True)
    # Three quarters of the way from 0.4 to 0.1 eV/Å: one and a half steps.
    assert row.ours == pytest.approx(35, abs=0.2)
    assert row.baseline == pytest.approx(110, abs=1)
    assert row.ratio == pytest.approx(35 / 110, rel=1e-2)
    assert row.met
    assert row.note == "beyond the start 0.17 (0.17 to 0.17)"
    both = labels.row(found, "campaign", "paper", "labels")
    assert both.ratio == pytest.approx(row.ratio**0.5)
    assert both.target is None
    assert "all systems" in both.name
    whole = labels.row({"made-up": found["made-up"]}, "paper", "campaign", "core_hours", 1.0)
    assert (whole.ours, whole.baseline) == pytest.approx((14.0, 4.0), rel=1e-2)


def test_nothing_learned_is_no_row(labels):
    idle = [Track("paper", s, "exhausted", track("", s, 1).points[:1]) for s in range(5)]
    tracks = {"campaign": [track("campaign", s, 10) for s in range(5)], "paper": idle}
    assert labels.row({"made-up": tracks}, "campaign", "paper", "labels") is None


def test_only_seeds_that_both_have_are_compared(labels):
    tracks = {
        "campaign": [track("campaign", s, 10) for s in range(3)],
        "paper": [track("paper", s, 20) for s in (1, 2, 5, 7)],
    }
    row = labels.row({"made-up": tracks}, "campaign", "paper", "labels")
    assert row.repeats == 2


def test_all_arms_of_a_seed_share_their_start(labels):
    system = labels.systems()["nickel"]
    made = labels.campaign(system, quick=True)
    first, again, other = (labels.start(system, made, s) for s in (1, 1, 2))
    assert first.ids == again.ids
    assert first.ids != other.ids
    assert first.is_labelled.all()
    assert len(first.subset("validation")) >= 19  # enough for a threshold of novelty
    assert prepare(first, made).ids == first.ids


def test_it_runs_and_keeps_what_it_has(tmp_path):
    target = tmp_path / "labels.json"
    curves = tmp_path / "curves.json"
    call = [sys.executable, str(FILE), "--quick", "--work", str(tmp_path), "--json", str(target)]
    call += ["--tracks", str(curves), "--arms", "campaign", "campaign, a third", "random, a third"]
    call += ["paper, all flagged"]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    kept = sorted(path.name for path in (tmp_path / "aluminium").iterdir())
    assert len(kept) == 8  # four arms, two seeds
    again = subprocess.run(call, capture_output=True, text=True, check=False)
    assert "seed 40" in done.stderr
    assert "seed 40" not in again.stderr  # nothing was run twice
    tracks = json.loads(curves.read_text(encoding="utf-8"))
    assert {len(one["points"]) for one in tracks} <= {1, 2, 3, 4}
    assert {one["system"] for one in tracks} == {"aluminium"}
    if target.is_file():  # there are rows where every arm has learned
        document = json.loads(target.read_text(encoding="utf-8"))
        assert all(row["ratio"] > 0 for row in document["rows"])
