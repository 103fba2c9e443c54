"""``trainspot map`` on files: without AiiDA, refusing before it works, the same for one seed."""

from __future__ import annotations

import json

import pytest
from ase.build import bulk
from click.testing import CliRunner

from trainspot import io
from trainspot.cli import main
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.maps import chart


@pytest.fixture
def file(tmp_path):
    """Eight rattled cells of two kinds."""
    frames = []
    for seed in range(8):
        atoms = bulk("Si") if seed % 2 else bulk("SiC", "zincblende", a=4.4)
        atoms.rattle(0.05, seed=seed)
        frames.append(Frame.from_atoms(atoms, info={"kind": "ab"[seed % 2]}))
    path = tmp_path / "frames.h5"
    io.write(Dataset.from_frames(frames), path)
    return path


def test_a_file_needs_no_aiida(file, tmp_path, blocked):
    path = tmp_path / "map.csv"
    done = blocked({"aiida", "plumpy"}, "map", str(file), "-o", str(path), "--method", "pca",
                   "--colour", "kind")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "map: 8 frames, principal components of the surroundings of the atoms (SOAP), "
        f"by kind: {path}\n"
    )
    assert len(path.read_text().splitlines()) == 9


def test_one_seed_gives_one_map_of_either_descriptor(file, tmp_path):
    texts = []
    for name in ("a", "b"):
        arguments = ["map", str(file), "--descriptor", "sorep", "--seed", "3", "--jobs", "1"]
        arguments += ["-o", str(tmp_path / f"{name}.html"), "--json"]
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == 0, done.output
        texts.append((done.stdout, (tmp_path / f"{name}.html").read_text()))
    assert texts[0] == texts[1]
    content = json.loads(texts[0][0])
    assert (content["descriptor"], content["method"], content["seed"]) == ("sorep", "tsne", 3)
    assert content["colour"] == "iteration"


def test_notes_go_to_those_who_read(file, tmp_path):
    done = CliRunner().invoke(
        main, ["map", str(file), "-o", str(tmp_path / "m.svg"), "--max-frames", "4",
               "--explored", str(file)]
    )  # fmt: skip
    assert done.exit_code == 0
    assert "note: Drawn at random: 4 of 8 frames" in done.stderr
    assert "note: There are too few different frames for t-SNE" in done.stderr


@pytest.mark.parametrize(
    ("target", "options", "message"),
    [
        ("frames.h5", ["-o", "map.pdf"], "map.pdf: unknown suffix '.pdf' of a map"),
        ("frames.h5", ["-o", "no/map.png"], "no: no such folder; make it first"),
        ("frames.h5", ["--colour", "kin"], "unknown colour 'kin'; did you mean 'kind'?"),
        ("frames.h5", ["--max-atoms", "1"], "1 is not in the range"),
        ("other.h5", [], "other.h5: no such file"),
        ("no/other", [], "no/other: no such file"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    file, tmp_path, monkeypatch, target, options, message
):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["map", target, "--method", "pca", *options])
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["frames.h5"]


def test_a_colour_is_refused_before_the_map_is_made(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(chart, "make", None)  # would be a TypeError
    done = CliRunner().invoke(main, ["map", "frames.h5", "--method", "pca", "--colour", "kin"])
    assert done.exit_code == 2
    assert "unknown colour 'kin'" in done.stderr


def test_without_aiida_a_campaign_gets_the_pip_line(blocked):
    done = blocked({"aiida"}, "map", "silicon", "--method", "pca")
    assert done.returncode == 2
    assert done.stderr.endswith(" is not installed; run: pip install 'trainspot[aiida]'\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("module", "options", "extra"),
    [
        ("pyscf", ["--descriptor", "sorep"], "map"),
        ("sklearn", [], "map"),
        ("umap", ["--method", "umap"], "umap"),
        ("featomic", [], "descriptors"),
    ],
)
def test_a_missing_library_gets_the_pip_line(file, tmp_path, module, options, extra, blocked):
    path = tmp_path / "map.html"
    done = blocked({module}, "map", str(file), "-o", str(path), *options)
    assert done.returncode == 2
    assert f"run: pip install 'trainspot[{extra}]'" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not path.exists()
