"""Every benchmark runs through with tiny sizes, and its rows are sane. Nothing here is timed."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[2] / "benchmarks"
# What a benchmark must have measured: the beginnings of the names of its rows.
EXPECTED = {
    "dataset": ["write + store", "full read", "energies only", "random frame", "peak memory"],
    "augment": ["augment, work chain", "augment, pure", "augment, default list"],
    "evaluate": [
        *("committee evaluation, float32", "committee evaluation, float64"),
        *("committee evaluation, 8 frames", "processor", "memory for", "peak memory"),
        "frames evaluated",
    ],
    "engine": ["engine overhead", "collecting results", "checkpoint"],
    "md": ["MD, npt"],
}
ENGINES = {"evaluate", "md"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.engine] if n in ENGINES else []) for n in EXPECTED],
)
def test_a_benchmark_runs_and_its_rows_are_sane(name, tmp_path):
    target = tmp_path / f"{name}.json"
    command = [sys.executable, str(FOLDER / f"{name}.py"), "--quick", "--json", str(target)]
    environment = {k: v for k, v in os.environ.items() if k != "AIIDA_PATH"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    document = json.loads(target.read_text(encoding="utf-8"))
    assert document["benchmark"] == name
    assert {"Work", "Baseline", "Limit"} <= set(document["description"].replace(":", "").split())
    names = [row["name"] for row in document["rows"]]
    for beginning in EXPECTED[name]:
        assert any(found.startswith(beginning) for found in names), beginning
    for row in document["rows"]:
        check(row)
        assert row["name"] in done.stdout


def check(row: dict) -> None:
    wanted = {"name", "work", "unit", "ours", "baseline", "ratio", "spread", "target", "repeats"}
    assert wanted <= row.keys()
    assert row["work"]
    assert row["unit"]
    assert row["repeats"] >= 1
    assert math.isfinite(row["ours"])
    low, high = row["spread"]
    assert low <= (row["ours"] if row["ratio"] is None else row["ratio"]) <= high
    assert (row["baseline"] is None) == (row["ratio"] is None)
    assert (row["target"] is None) == (row["met"] is None)
    if row["ratio"] is not None:
        assert row["baseline"] > 0
        assert row["ratio"] > 0


def test_every_benchmark_is_tried():
    found = {path.stem for path in FOLDER.glob("[a-z]*.py")}
    assert found - {"labels"} == EXPECTED.keys()  # labels: its own test
