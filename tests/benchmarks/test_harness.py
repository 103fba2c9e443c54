"""What all benchmarks share: the order of measuring, medians, ratios, targets, files."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def harness():
    spec = importlib.util.spec_from_file_location("_harness", FOLDER / "_harness.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up there
    yield spec.loader.exec_module(module) or module
    del sys.modules[spec.name]


def test_sides_take_turns_at_being_first(harness):
    order = []

    def side(name):
        return lambda: order.append(name) or float(len(order))

    samples = harness.interleaved({"a": side("a"), "b": side("b")}, repeats=3, warm_up=True)
    assert "".join(order) == "ab" + "ab" + "ba" + "ab"
    assert samples == {"a": [3.0, 6.0, 7.0], "b": [4.0, 5.0, 8.0]}


def test_only_the_work_is_timed(harness):
    now = [0.0]

    def takes(duration, result=None):
        def work(*_):
            now[0] += duration
            return result

        return work

    seen = []
    side = harness.seconds(
        takes(2.0, "done"),
        before=takes(100.0, "given"),
        after=seen.append,
        clock=lambda: now[0],
        divide=4,
    )
    assert side() == 0.5
    assert seen == ["done"]


def test_a_row_has_medians_and_the_ratios_of_neighbours(harness):
    samples = {"ours": [1.0, 2.0, 4.0], "baseline": [10.0, 50.0, 8.0]}
    row = harness.compared("x", samples, work="w", unit="s", target=harness.Target(10))
    assert (row.ours, row.baseline) == (2.0, 10.0)
    assert (row.ratio, row.spread, row.repeats) == (10.0, (2.0, 25.0), 3)
    assert row.met is True
    rate = harness.compared("x", samples, work="w", unit="1/s", ratio_is="ours / baseline")
    assert (rate.ratio, rate.met) == (0.1, None)
    alone = harness.compared("x", samples, baseline=None, work="w", unit="s")
    assert (alone.baseline, alone.ratio, alone.spread) == (None, None, (1.0, 4.0))


@pytest.mark.parametrize(
    ("of", "sense", "value", "met"),
    [
        ("ratio", "at least", 5.0, True),
        ("ratio", "at least", 5.1, False),
        ("ratio", "at most", 4.9, False),
        ("ours", "at most", 2.0, True),
        ("ours", "at most", 1.9, False),
    ],
)
def test_targets(harness, of, sense, value, met):
    samples = {"ours": [2.0], "baseline": [10.0]}
    target = harness.Target(value, of=of, sense=sense)
    assert harness.compared("x", samples, work="w", unit="s", target=target).met is met


def test_the_file_is_there_after_every_row(harness, tmp_path, capsys):
    target = tmp_path / "new" / "b.json"
    seen = []

    def rows(options):
        for number in (1, 2):
            samples = {"ours": [number / 1000], "baseline": [float(number * options.times)]}
            yield harness.compared(f"row {number}", samples, work="w", unit="s")
            seen.append([row["name"] for row in json.loads(target.read_text())["rows"]])

    def add(parser):
        parser.add_argument("--times", type=int)

    status = harness.main(
        "b", "What it does.\n\nMore.", rows, add, ["--json", str(target), "--times", "3"]
    )
    assert status == 0
    assert seen == [["row 1"], ["row 1", "row 2"]]
    document = json.loads(target.read_text())
    assert document["options"] == {"quick": False, "repeats": None, "times": 3}
    assert document["versions"].keys() >= {"trainspot", "numpy"}
    assert document["machine"]["cores"] >= 1
    assert [path.name for path in target.parent.iterdir()] == ["b.json"]
    printed = capsys.readouterr().out
    assert "3,000" in printed
    assert "0.002" in printed
