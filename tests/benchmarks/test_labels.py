"""The benchmark of labels: its campaigns are valid, its rows say what its tracks say."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from trainspot.rehearse.cost import CostModel
from trainspot.rehearse.outcome import Outcome
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


def track(arm, seed, step):
    points = [
        Point(20 + step * k, 0.1 * (20 + step * k), error, error, 0.01, 30, 9, 10)
        for k, error in enumerate((0.4, 0.1))
    ]
    return Track(arm, seed, "exhausted", tuple(points))


def test_a_row_is_the_ratio_of_what_is_needed(labels):
    tracks = [track("campaign", s, 10) for s in range(5)] + [
        track("paper", s, 60) for s in range(5)
    ]
    found = Outcome("made-up", 1, "emt", "toy", CostModel(), {}, tracks)
    row = labels.row("made-up", found, "campaign", "paper", "labels")
    assert row.ours == pytest.approx(30)
    assert row.baseline == pytest.approx(80)
    assert row.ratio == pytest.approx(30 / 80)
    assert row.met
    assert not labels.row("made-up", found, "paper", "campaign", "labels").target
    flat = [track("campaign", s, 10) for s in range(5)]
    idle = [Track("paper", s, "exhausted", (flat[0].points[0],)) for s in range(5)]
    nothing = Outcome("made-up", 1, "emt", "toy", CostModel(), {}, [*flat, *idle])
    assert labels.row("made-up", nothing, "campaign", "paper", "labels") is None


def test_it_runs_and_keeps_what_it_has(tmp_path):
    target = tmp_path / "labels.json"
    call = [sys.executable, str(FILE), "--quick", "--work", str(tmp_path), "--json", str(target)]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    kept = sorted(path.name for path in (tmp_path / "aluminium").iterdir())
    assert len(kept) == 6
    again = subprocess.run(call, capture_output=True, text=True, check=False)
    assert "seed 20" in done.stderr
    assert "seed 20" not in again.stderr  # nothing was run twice
    if target.is_file():  # there are rows where every arm has learned
        document = json.loads(target.read_text(encoding="utf-8"))
        assert all(row["ratio"] > 0 for row in document["rows"])
