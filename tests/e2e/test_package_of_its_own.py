"""The trainer of the how-to: installed as a package of its own, tested, and run in a campaign."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = [pytest.mark.engine, pytest.mark.slow]

PACKAGE = Path(__file__).parents[2] / "examples" / "trainspot-ridge"
ENDINGS = ("max_iterations", "converged")


def test_the_trainer_of_the_how_to_passes_its_tests_and_trains_the_committee_of_a_campaign(home):
    outside = home(
        "ridge",
        package=PACKAGE,
        augment=[{"kind": "input"}, {"kind": "isolated"}, {"kind": "rattle", "copies": 24}],
        train={"engine": "ridge", "committee": 2},
        stop={"max_iterations": 1},
    )
    # its own tests, while the campaign runs
    outside.call("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", str(PACKAGE / "tests"))

    status = outside.until(lambda status: status["state"] != "running" and status["exit"])
    assert status["exit"]["label"] in ENDINGS, status["exit"]
    outside.call("trainspot", "export", "toy", "-o", "export")
    models = sorted(path.name for path in (outside.folder / "export" / "models").iterdir())
    assert models == ["member_0.ridge", "member_1.ridge"]
    summary = outside.call("trainspot", "evaluate", "al.cif", "--models", "export", "-o", "al.h5")
    assert summary.startswith("1 frame evaluated")
