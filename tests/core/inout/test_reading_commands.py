"""What commands do with files: counts of labels, ``--map``, ``--periodic``, and ``| head``."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from click.testing import CliRunner

from trainspot import io
from trainspot.cli import main


def run(*arguments, fails=0):
    result = CliRunner().invoke(main, [*map(str, arguments)])
    assert result.exit_code == fails, result.output
    return result


def test_convert_maps_names_and_tells_counts(reports, tmp_path):
    target = tmp_path / "a.h5"
    result = run("convert", reports / "virial.xyz", target, "--map", "virial=stress")
    assert f"{target}: 6 frames, 6 with energy, 6 with forces, 6 with stress" in result.stderr
    assert "virial" not in result.stderr.replace("virial.xyz", "")
    found = json.loads(run("convert", target, tmp_path / "b.db", "--json").stdout)
    assert [found[f"with_{name}"] for name in io.counts(io.read(target)) if name != "frames"] == [
        6, 6, 6,
    ]  # fmt: skip


def test_a_note_comes_once_and_on_the_error_output(reports, tmp_path):
    result = run("convert", reports / "virial.xyz", tmp_path / "a.h5", "--theory", "pbe")
    assert result.stderr.count("note: ") == 1
    assert "--map virial=stress makes a label of it (6 of 6 structures)" in result.stderr
    assert "note: " not in result.stdout


def test_the_line_that_a_refusal_offers_works(reports, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("force.xyz", "ref-with-stress.extxyz", "total-energy.xyz"):
        told = run("inspect", reports / name, fails=2).stderr
        words = told.partition("trainspot ")[2].split()
        end = next(i for i, w in enumerate(words) if w == "renames" or w.startswith("("))
        run(*words[:end])
        assert io.read(tmp_path / "NEW.extxyz").is_labelled.all()


@pytest.mark.parametrize(
    ("command", "more"),
    [
        ("inspect", []),
        ("split", ["-o", "s.h5"]),
        ("label", ["--calculator", "emt", "-o", "l.h5"]),
        ("augment", ["-o", "a.h5"]),
    ],
)
def test_commands_that_read_say_how_many_have_labels(reports, tmp_path, monkeypatch, command, more):
    monkeypatch.chdir(tmp_path)
    result = run(command, reports / "brackets.extxyz", *more)
    told = "6 with energy, 6 with forces, 6 with stress"
    assert told in " ".join(result.output.split())


def test_label_replaces_partial_labels_and_loses_none(tmp_path):
    images = []
    for seed in range(3):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.05, seed=seed)
        atoms.info["REF_energy"] = -1.0
        images.append(atoms)
    ase.io.write(tmp_path / "a.extxyz", images)
    result = run("label", tmp_path / "a.extxyz", "--calculator", "emt", "-o", tmp_path / "b.h5")
    assert "3 frames had only an energy or only forces: computed again" in result.stderr
    labelled = io.read(tmp_path / "b.h5")
    assert labelled.is_labelled.all()
    assert len(labelled.theories) == 1
    assert not np.any(labelled.column("energy") == -1.0)


def test_a_sheet_from_a_cif(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sheet = bulk("Cu", cubic=True)
    sheet.cell[2] = [0, 0, 20]
    ase.io.write("sheet.cif", sheet)
    told = run("init", "sheet.cif", "-o", "crystal.yaml").stderr
    assert "write --periodic TTF (init, augment, convert)" in told
    assert "structures: [{file: FILE, periodic: [true, true, false]}]" in told
    told = run("init", "sheet.cif", "--periodic", "TTF", "-o", "sheet.yaml").stderr
    assert "periodic" not in told
    run("convert", "sheet.cif", "a.h5", "--periodic", "T T F")
    assert io.read("a.h5").column("pbc").tolist() == [[True, True, False]]
    run("augment", "sheet.cif", "--periodic", "TTF", "-o", "b.h5")
    assert not io.read("b.h5").column("pbc")[:, 2].any()
    told = run("convert", "sheet.cif", "c.h5", "--periodic", "TX", fails=2).stderr
    assert "TTF for a sheet" in told


def test_an_output_that_nobody_reads_any_more_is_no_error(tmp_path):
    code = "from trainspot.cli import main; main()"
    ase.io.write(tmp_path / "cu.cif", bulk("Cu"))
    for arguments in (["--help"], ["config", "schema"], ["inspect", str(tmp_path / "cu.cif")]):
        reading, writing = os.pipe()
        os.close(reading)
        command = [sys.executable, "-c", code, *arguments]
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
        os.close(writing)
        assert done.returncode == 0, done.stderr
        assert done.stderr == b""
