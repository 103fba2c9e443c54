"""What the page on single stages shows works as it is written, with a quick trainer."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from ase.build import bulk
from ase.io import write
from click.testing import CliRunner

from trainspot import io
from trainspot.cli import main
from trainspot.models.committee import CommitteePotential

HOW_TO = Path(__file__).parents[2] / "docs/how-to"
PAGE = (HOW_TO / "single-stages.md").read_text(encoding="utf-8")
USE = (HOW_TO / "use-a-potential.md").read_text(encoding="utf-8")
QUICK = {
    "--engine mace --committee-size 4": "--engine toy --committee-size 2",
    "member_0.mace": "member_0.toy",
    "--time 1.0": "--time 0.2",
}


def block(language):
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:error bars of")  # a quick committee may leave some uncalibrated
def test_the_chain_runs_from_a_structure_to_the_next_labels(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("silicon.cif", bulk("Si", cubic=True))
    Path("campaign.yaml").write_text(block("yaml"), encoding="utf-8")
    commands = block("console")
    for written, quick in QUICK.items():
        assert written in commands
        commands = commands.replace(written, quick)
    said = {}
    for line in commands.splitlines():
        program, name, *arguments = shlex.split(line.removeprefix("$ "))
        assert program == "trainspot"
        result = CliRunner().invoke(main, [name, *arguments])
        assert result.exit_code == 0, f"{line}: {result.output}"
        said[name] = result
    assert "could be fitted" not in said["calibrate"].stdout, "the page gives enough frames"
    assert "without a split" not in said["calibrate"].stderr
    assert "no novelty flag" not in said["select"].stderr
    assert CommitteePotential.recognises(Path("silicon-potential"))
    before = io.read("labelled.h5")
    exec(compile(block("python"), "single-stages.md", "exec"), {})
    together = io.read("all.h5")
    assert together.is_labelled.all()
    assert len(together) == len(before) + len(io.read("next-labelled.h5")) > len(before)
    assert together.select(before.ids).column("split").tolist() == before.column("split").tolist()
    snippet, *_ = re.findall(r"^```python\n(.*?)^```", USE, re.MULTILINE | re.DOTALL)
    used: dict = {}
    exec(compile(snippet, "use-a-potential.md", "exec"), used)
    assert used["bars"].shape == (8,)
    assert used["forces"].shape == (8, 3)
