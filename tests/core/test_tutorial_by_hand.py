"""The tutorial by hand works as it is written, with a quick trainer, and prints what it shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import trainspot
from trainspot import read
from trainspot.cli import main

PAGE = (Path(__file__).parents[2] / "docs/tutorial/by-hand.md").read_text(encoding="utf-8")
BY_HAND = PAGE.partition("## The same as a campaign")[0]
BLOCK = re.compile(r"^```(console|python|yaml)\n(.*?)^```", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"-?\d[\d.,]*(e[+-]?\d+)?")
TOY = "{} --engine toy --committee-size 3"
QUICK = {
    "member_0.mace": "member_0.toy",
    "--time 0.5 --sample-every 0.05": "--time 0.1 --sample-every 0.01",
    "labelled.h5 --config campaign.yaml --seed 1 --workers 2": TOY.format("labelled.h5"),
    "all-split.h5 --config campaign.yaml --seed 2 --workers 2": TOY.format("all-split.h5"),
}
DEPENDS = ("calibrate", "select")
"""What these commands say depends on the models."""


def steps():
    """Every file, script and command of the page, with what a command prints there."""
    for kind, text in BLOCK.findall(BY_HAND):
        if kind != "console":
            yield kind, text, ""
            continue
        for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, _, printed = part.partition("\n")
            yield kind, command, printed


def shapes(text: str) -> set[str]:
    """Lines without numbers, spaces and rules."""
    lines = (" ".join(NUMBER.sub("#", line).split()) for line in text.splitlines())
    return {line for line in lines if line.strip("─ ")}


def openings(text: str) -> set[str]:
    """What lines begin with, up to the first number or colon."""
    return {re.split(r"[:#]", line.removeprefix("# "))[0] for line in shapes(text)}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:error bars of")  # a quick committee may leave some uncalibrated
def test_the_page_runs_and_prints_what_it_shows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for kind, text, shown in steps():
        if kind == "yaml":
            Path("campaign.yaml").write_text(text, encoding="utf-8")
            continue
        if kind == "python":
            exec(compile(text, "by-hand.md", "exec"), {})
            continue
        line = text
        for written, quick in QUICK.items():
            line = line.replace(written, quick)
        program, name, *arguments = shlex.split(line)
        assert program == "trainspot"
        result = CliRunner().invoke(main, [name, *arguments], env={"COLUMNS": "88"})
        assert result.exit_code == 0, f"{line}: {result.output}"
        if not shown:
            continue
        if name in DEPENDS:
            assert openings(result.output) <= openings(shown) | {"warning"}, line
        else:
            assert shapes(result.output) == shapes(shown), line
    together, before = read("all.h5"), read("labelled.h5")
    assert len(together) == len(before) + len(read("next-labelled.h5")) > len(before)
    assert together.is_labelled.all()
    frame = next(frame for frame in before if len(frame) == 32)
    atoms = frame.to_atoms()
    atoms.calc = trainspot.calculator("aluminium-potential")
    assert np.isfinite(atoms.get_forces()).all()
    assert atoms.calc.results["forces_uncertainty"].shape == (32,)


def test_every_replacement_is_of_something_on_the_page():
    for written in QUICK:
        assert written in BY_HAND
