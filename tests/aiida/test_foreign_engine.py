"""An engine of another package, which no list of ours names: set up, checked, and told about."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from aiida.orm import load_code
from aiida.plugins import entry_point as aiida_points

from aiida_trainspot.launch import checks
from aiida_trainspot.setup import codes, installation, programs
from trainspot.common import plugins
from trainspot.common.errors import InputError, MissingExtraError
from trainspot.config.document import Document
from trainspot.config.load import resolve
from trainspot.config.schema import schema
from trainspot.data.dataset import Dataset
from trainspot.train import run

METADATA = """\
Metadata-Version: 2.1
Name: gridlab-trainspot
Version: 1.0
Provides-Extra: fast
Provides-Extra: everything
Requires-Dist: gridfft; extra == "fast"
Requires-Dist: gridfft; extra == "everything"
Requires-Dist: gridplot; extra == "everything"
"""

ENTRY_POINTS = """\
[trainspot.label]
grid = gridlab_engines:GridEngine
fourier = gridlab_fourier:FourierEngine
[trainspot.train]
ridge = gridlab_engines:RidgeTrainer
[aiida.workflows]
trainspot.label.grid = gridlab_workchain:GridWorkChain
"""

ENGINES = """\
from typing import ClassVar

from pydantic import BaseModel, Field

from trainspot.engine import Program, Remark
from trainspot.label.base import EngineSettings, LabelEngine, fingerprint
from trainspot.train.base import Trainer


class GridSettings(EngineSettings):
    spacing: float = Field(0.2, description="spacing of the grid, Å")


class GridEngine(LabelEngine):
    name: ClassVar[str] = "grid"
    Settings: ClassVar[type[EngineSettings]] = GridSettings
    default_code: ClassVar[str] = "grid@localhost"
    extra: ClassVar[str] = "fast"

    @staticmethod
    def theory(settings):
        return fingerprint("grid", settings.decisive())

    @classmethod
    def program(cls):
        return Program("grid", "grid.x", probe=("--version",), says="GRID 1")

    @classmethod
    def preflight(cls, facts):
        if facts.settings.spacing > 0.3:
            elements = ", ".join(facts.inputs.species)
            yield Remark("warning", f"label.spacing: too coarse for {elements}")


class RidgeTrainer(Trainer):
    name: ClassVar[str] = "ridge"
    Settings: ClassVar[type[BaseModel]] = GridSettings
    executable: ClassVar[str] = "ridge-train"
    model_kind: ClassVar[str] = "ridge"
    model_filename: ClassVar[str] = "model.ridge"
    default_code: ClassVar[str] = "ridge@localhost"

    @classmethod
    def write_inputs(cls, directory, dataset, settings, seed, *, start=None, checkpoint=None): ...

    @classmethod
    def arguments(cls, settings): ...

    @classmethod
    def outputs(cls, settings): ...

    @classmethod
    def read_outputs(cls, directory): ...

    @classmethod
    def with_half_batch(cls, settings): ...
"""

FOURIER = """\
import gridfft

from gridlab_engines import GridEngine


class FourierEngine(GridEngine):
    name = "fourier"
"""

PROGRAM_THAT_RAISES = """\
from gridlab_engines import GridEngine


class FourierEngine(GridEngine):
    @classmethod
    def program(cls):
        raise KeyError("table")
"""

WORKCHAIN = """\
from aiida_trainspot.workflows.label.base import LabelEngineWorkChain
from trainspot.engine import Remark


class GridWorkChain(LabelEngineWorkChain):
    engine = "grid"

    @classmethod
    def preflight(cls, facts):
        yield Remark("note", f"the tables of {len(facts.inputs)} structure are there")

    @classmethod
    def preflight_labels(cls, first):
        yield Remark("note", f"{len(first.frames)} label, {first.at_once} at a time")
"""

MODULES = {
    "gridlab_engines": ENGINES,
    "gridlab_fourier": FOURIER,
    "gridlab_workchain": WORKCHAIN,
}


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The package, as pip would leave it, in a folder of its own; gives that folder."""
    folder = tmp_path / "site"
    record = folder / "gridlab_trainspot-1.0.dist-info"
    record.mkdir(parents=True)
    (record / "METADATA").write_text(METADATA)
    (record / "entry_points.txt").write_text(ENTRY_POINTS)
    for name, text in MODULES.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(folder)

    def fresh(*, group):
        return entry_points(group=group)

    monkeypatch.setattr(plugins, "entry_points", fresh)  # what is looked up once, once more
    aiida_points.eps.cache_clear()
    yield folder
    aiida_points.eps.cache_clear()
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture
def program(installed, monkeypatch):
    """Makes ``grid.x``, which says what it is told to, on a PATH with nothing of ours."""
    path = installed / "bin" / "grid.x"
    path.parent.mkdir()
    monkeypatch.setenv("PATH", f"{path.parent}:/usr/bin:/bin")

    def make(says: str) -> Path:
        path.write_text(f"#!/bin/sh\necho {says}\n")
        path.chmod(0o755)
        return path

    return make


@pytest.fixture
def set_up(aiida_profile_clean, installed, tmp_path, monkeypatch):
    """The findings of the set-up on programs, by item; only those of the package are started."""
    really = programs.silence
    mine = {"grid.x", "ridge-train"}
    monkeypatch.setattr(
        programs, "silence", lambda p, path: really(p, path) if p.executable in mine else ""
    )
    computer, _ = installation.make_computer()
    return lambda: {
        finding.item: finding for finding in codes.make_codes(computer, tmp_path, install=False)
    }


def test_its_program_becomes_a_code(set_up, program):
    path = program("GRID 1.3")
    found = set_up()
    assert (found["grid@localhost"].state, found["grid@localhost"].detail) == ("made", str(path))
    assert load_code("grid@localhost").default_calc_job_plugin is None
    assert set_up()["grid@localhost"].state == "found"


def test_a_program_that_is_missing_or_silent_names_the_package(set_up, program):
    found = set_up()
    assert found["grid@localhost"].detail == "no grid.x"
    assert found["grid@localhost"].hint == "run: pip install 'gridlab-trainspot[fast]'"
    assert found["ridge@localhost"].detail == "no ridge-train", "a trainer's executable is enough"
    assert found["ridge@localhost"].hint == "install it and put it on PATH"
    assert found["mace@localhost"].state == "made", "ours are set up as ever"
    program("TILE 1.3")
    assert "does not answer: TILE 1.3" in set_up()["grid@localhost"].detail


def test_an_engine_that_lacks_a_module_is_a_finding_of_the_set_up(set_up):
    finding = set_up()["fourier"]
    assert finding.state == "missing"
    assert finding.hint == "run: pip install 'gridlab-trainspot[fast]'"


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("no_such_name", "cannot be imported: NameError: name 'no_such_name' is not defined"),
        ("class FourierEngine: pass", "does not derive from trainspot.label.base.LabelEngine"),
        (
            PROGRAM_THAT_RAISES,
            "its program() raised KeyError: 'table'",
        ),
    ],
)
def test_a_broken_engine_of_others_is_a_finding_and_stops_nobody(set_up, installed, module, said):
    (installed / "gridlab_fourier.py").write_text(f"{module}\n")
    findings = set_up()
    assert said in findings["fourier"].detail
    assert findings["mace@localhost"].state == "made"
    assert "aiida.calculations:trainspot.evaluate" in installation.cached_calculations()


def test_a_missing_module_is_named_with_the_package_that_asks_for_it(installed):
    with pytest.raises(MissingExtraError) as caught:
        plugins.load("trainspot.label", "fourier")
    assert str(caught.value) == (
        "module 'gridfft', which label engine 'fourier' needs, is not installed; "
        "run: pip install 'gridlab-trainspot[fast]'"
    )
    with pytest.raises(InputError, match=r"c\.yaml: .*pip install 'gridlab-trainspot\[fast\]'"):
        resolve(Document(Path("c.yaml"), {"label": {"engine": "fourier"}}))


def test_a_module_that_no_extra_brings_comes_with_the_package(installed):
    (installed / "gridlab_fourier.py").write_text("import gridother\n")
    with pytest.raises(MissingExtraError, match=r"; run: pip install gridlab-trainspot$"):
        plugins.load("trainspot.label", "fourier")


@pytest.mark.parametrize("statement", ["from trainspot.label import gone", "import trainspot.gone"])
def test_a_package_made_for_another_version_of_ours_is_named(installed, statement):
    (installed / "gridlab_fourier.py").write_text(f"{statement}\n")
    with pytest.raises(InputError) as caught:
        plugins.load("trainspot.label", "fourier")
    assert str(caught.value).startswith("label engine 'fourier' cannot be imported: ")
    assert str(caught.value).endswith("; it is part of the package gridlab-trainspot")


def test_a_trainer_whose_program_is_missing_says_so(installed, monkeypatch):
    trainer = run.trainer("ridge")
    with pytest.raises(InputError, match=r"'ridge-train' is not installed; install it and put it"):
        run.find_executable(trainer.executable, trainer)
    monkeypatch.setattr(trainer, "extra", "fast")
    with pytest.raises(InputError, match=r"; run: pip install 'gridlab-trainspot\[fast\]'$"):
        run.find_executable(trainer.executable, trainer)


def test_its_settings_are_in_the_schema(installed):
    definitions = schema()["$defs"]
    section = definitions["LabelSection.grid"]
    assert section["properties"]["spacing"]["description"] == "spacing of the grid, Å"
    assert section["properties"]["settings"]["properties"].keys() == {"spacing"}
    assert "LabelSection.fourier" not in definitions


@pytest.fixture
def told(ours, installed, silicon, toys, monkeypatch):
    """The remarks of ``trainspot check`` on a campaign with the engine."""
    monkeypatch.setattr(checks, "_daemon", list)
    monkeypatch.setattr(checks, "_caching", list)

    def check(*, thorough=False, **label):
        section = {"engine": "grid", "code": "ours@localhost", "max_concurrent": 1} | label
        written = {**toys, "label": section, "augment": [{"kind": "input"}]}
        loaded = resolve(Document(Path("c.yaml"), written))
        remarks = checks.check(loaded, Dataset.from_frames([silicon]), thorough=thorough)
        return [(remark.level, remark.text) for remark in remarks]

    return check


def test_what_it_foresees_is_told(told):
    there = ("note", "the tables of 1 structure are there")
    first = ("note", "1 label, 1 at a time")
    assert told(spacing=0.4) == [("warning", "label.spacing: too coarse for Si"), there, first]
    assert told() == [there, first]
    assert told(thorough=True)[-1] == first


def test_an_engine_without_a_work_chain_is_told(told, installed):
    record = installed / "gridlab_trainspot-1.0.dist-info" / "entry_points.txt"
    record.write_text(ENTRY_POINTS.partition("[aiida.workflows]")[0])
    ((level, text), *_) = told()
    assert level == "error"
    assert text.startswith("unknown work chain 'trainspot.label.grid'; did you mean")


def test_the_daemon_must_run_what_is_installed_of_it(installed):
    assert "gridlab-trainspot" in checks._packages()
