"""Every registered label engine keeps its contract, and mistakes are told by name.

``quantumespresso`` labels for real where pw.x is (tests/engines).
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from aiida.plugins import WorkflowFactory
from pydantic import Field

from aiida_trainspot.workflows.label.base import LabelEngineWorkChain, engine_workchain
from trainspot import io
from trainspot.common import plugins
from trainspot.common.errors import ContractError, UnknownNameError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels
from trainspot.label import base
from trainspot.label.ase import AseLabelEngine, AseSettings
from trainspot.label.base import EngineSettings, FrameEngine, LabelEngine, LabelResult, fingerprint
from trainspot.label.pool import PoolLabelEngine
from trainspot.testing import check_label_engine

EMT = {"calculator": "emt"}
OTHER = {"calculator": "lj", "parameters": {"asap_cutoff": True}, "practical_parameters": ["x"]}
CUTOFFS = {"ecutwfc": 20.0, "ecutrho": 80.0}


def test_every_engine_is_under_test():
    assert plugins.names(base.GROUP) == ["ase", "pool", "quantumespresso"]


def test_the_engine_of_ase():
    tungsten = Frame.make([74, 74], [[0, 0, 0], [0, 0, 2.5]])
    check_label_engine("ase", EMT, other=OTHER, failing=tungsten)


@pytest.fixture
def pool_file(tmp_path, copper_pool):
    io.write(copper_pool, tmp_path / "pool.h5")
    return {"file": str(tmp_path / "pool.h5")}


def test_the_engine_of_a_pool(pool_file, copper_pool):
    check_label_engine("pool", pool_file, frames=list(copper_pool[:3]))


def test_a_wrong_look_up_is_told(pool_file, copper_pool):
    class Wrong(PoolLabelEngine):
        def label(self, dataset, settings, *, workers=1, done=None):
            result = super().label(dataset, settings, workers=workers, done=done)
            energy = result.labelled.column("energy") + 0.1
            return replace(result, labelled=result.labelled.with_columns(energy=energy))

    class Everything(PoolLabelEngine):
        def label(self, dataset, settings, *, workers=1, done=None):
            result = super().label(dataset, settings, workers=workers, done=done)
            zero = [
                frame.with_(info={}, labels=Labels(0.0, np.zeros((len(frame), 3)), None, "emt"))
                for frame in result.failures
            ]
            both = Dataset.concatenate([result.labelled, Dataset.from_frames(zero)])
            return LabelResult(both.select(dataset.ids), result.failures[:0])

    for wrong, told in ((Wrong, "not those of the file"), (Everything, "is not in failures")):
        with pytest.raises(AssertionError, match=told):
            check_label_engine(wrong, pool_file, frames=list(copper_pool[:3]))


def test_the_settings_of_quantumespresso():
    other = {
        "pseudo_family": "another",
        "kpoints_mesh": (2, 2, 2),
        "kpoints_offset": (1, 1, 1),
        "parameters": {"SYSTEM": {"nbnd": 10}},
        "parallelization": {"npool": 2},
    }
    check_label_engine("quantumespresso", CUTOFFS, other=other)
    check_label_engine("quantumespresso", {**CUTOFFS, "spin": True}, other={"moments": {"Fe": 2.0}})


def test_the_stage_takes_what_the_engines_take():
    stage = WorkflowFactory("trainspot.label").spec()
    common = LabelEngineWorkChain.spec()
    assert stage.inputs.keys() == {*common.inputs, "engine", "min_success", "splits", "chosen"}
    assert stage.outputs.keys() == common.outputs.keys()


def test_an_unknown_engine_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'quantumespresso'"):
        engine_workchain("quantumespressso")


# ── the contract itself ───────────────────────────────────────────────────────
def changing(change):
    """An engine whose labels are those of ASE with ``change`` done to them."""

    class Changing(AseLabelEngine):
        def label(self, dataset, settings, *, workers=1, done=None):
            found = super().label(dataset, settings, workers=workers, done=done)
            frames = [change(frame, row) for row, frame in enumerate(found.labelled)]
            return LabelResult(Dataset.from_frames(frames), found.failures)

    return Changing


def with_labels(energy=1.0, forces=1.0, stress=1.0, **more):
    def change(frame, row):
        old = frame.labels
        scaled = None if old.stress is None else stress * old.stress
        new = Labels(energy * old.energy, forces * old.forces, scaled, old.theory)
        return frame.with_(labels=new, **more)

    return changing(change)


class Settings(AseSettings):
    cutoff: float = Field(5.0, description="Å")
    steps: int = Field(10, description="steps")


class Blind(AseLabelEngine):
    """The theory does not see a setting."""

    Settings = Settings

    @staticmethod
    def theory(settings):
        return fingerprint("ase", {**settings.decisive(), "cutoff": 0})


class Touchy(AseLabelEngine):
    """The theory sees a practical setting."""

    @staticmethod
    def theory(settings):
        return fingerprint("ase", settings.model_dump(mode="json"))


class Unstable(AseLabelEngine):
    count: ClassVar = itertools.count()

    @staticmethod
    def theory(settings):
        return f"ase-{next(Unstable.count)}"


class Long(AseLabelEngine):
    @staticmethod
    def theory(settings):
        return "ase" + 64 * "a"


class Lenient(AseLabelEngine):
    """Takes settings that it does not know."""

    class Settings(AseSettings, extra="allow"):
        """As those of ASE."""


class Unpractical(AseLabelEngine):
    class Settings(AseSettings):
        practical: ClassVar = AseSettings.practical | {"frames_per_jobs"}


class Raising(AseLabelEngine):
    """A frame that fails is an exception."""

    def label(self, dataset, settings, *, workers=1, done=None):
        found = super().label(dataset, settings, workers=workers, done=done)
        if len(found.failures):
            raise RuntimeError("the calculator failed")
        return found


class Dropping(AseLabelEngine):
    """A frame that fails is gone."""

    def label(self, dataset, settings, *, workers=1, done=None):
        found = super().label(dataset, settings, workers=workers, done=done)
        return LabelResult(found.labelled, found.failures[:0])


class Backwards(AseLabelEngine):
    def label(self, dataset, settings, *, workers=1, done=None):
        found = super().label(dataset, settings, workers=workers, done=done)
        return LabelResult(found.labelled[::-1], found.failures)


class Reusing(AseLabelEngine):
    """Keeps labels that are there already."""

    def label(self, dataset, settings, *, workers=1, done=None):
        found = super().label(dataset, settings, workers=workers, done=done)
        old = {frame.id: frame for frame in dataset if frame.labels}
        theory = self.theory(settings)
        frames = []
        for frame in found.labelled:
            there = old.get(frame.id, frame).labels
            kept = Labels(there.energy, there.forces, there.stress, theory)
            frames.append(frame.with_(labels=kept))
        return LabelResult(Dataset.from_frames(frames), found.failures)


class Parallel(AseLabelEngine):
    """With workers, another result."""

    def label(self, dataset, settings, *, workers=1, done=None):
        engine = AseLabelEngine() if workers == 1 else with_labels(forces=1.001)()
        return engine.label(dataset, settings, done=done)


class Silent(AseLabelEngine):
    def label(self, dataset, settings, *, workers=1, done=None):
        return super().label(dataset, settings, workers=workers)


class Touching(AseLabelEngine):
    """The frames that are given are moved."""

    def label(self, dataset, settings, *, workers=1, done=None):
        found = super().label(dataset, settings, workers=workers, done=done)
        dataset.column("positions").flags.writeable = True
        dataset.column("positions")[:1] += 1.0
        return found


GPA = 160.2
WRONG = {
    "sign of stress": (with_labels(stress=-1.0), "stress is not the strain derivative .* tension"),
    "unit of stress": (with_labels(stress=GPA), "stress is not the strain derivative"),
    "unit of forces": (with_labels(forces=0.0389), "forces are not minus the gradient"),
    "sign of forces": (with_labels(forces=-1.0), "forces are not minus the gradient"),
    "energy in Ry": (with_labels(energy=1 / 13.6), "forces are not minus the gradient"),
    "stress of a molecule": (
        changing(
            lambda frame, row: frame.with_(
                labels=Labels(
                    frame.labels.energy, frame.labels.forces, np.eye(3), frame.labels.theory
                )
            )
        ),
        "a frame without periodic axes has a stress",
    ),
    "no theory": (
        changing(
            lambda frame, row: frame.with_(
                labels=Labels(frame.labels.energy, frame.labels.forces, frame.labels.stress)
            )
        ),
        "labels have the theory ''",
    ),
    "set": (with_labels(split="test"), "labelling changes geometry, origin or split"),
    "blind": (Blind, "theory does not depend on 'cutoff' = 7.5 instead of 5.0"),
    "touchy": (Touchy, "the practical setting 'frames_per_job' .* changes the theory"),
    "unstable": (Unstable, "theory differs for the same settings"),
    "long": (Long, "is longer than 64 characters"),
    "lenient": (Lenient, "a setting that the engine does not have is not refused"),
    "unpractical": (Unpractical, "practical names settings that do not exist: frames_per_jobs"),
    "raising": (Raising, r"labelling \d frames raised RuntimeError: the calculator failed"),
    "dropping": (Dropping, "a frame that cannot be labelled is not in failures"),
    "backwards": (Backwards, "labelled frames are not in the order in which they came"),
    "reusing": (Reusing, "labels depend on other frames, on their order, or on labels"),
    "parallel": (Parallel, r"two workers give other numbers than one \(forces\)"),
    "silent": (Silent, r"done\(\) does not see every frame once"),
    "touching": (Touching, "the frames that were given are changed"),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_wrong_engine_is_caught_by_name(mistake):
    wrong, message = WRONG[mistake]
    tungsten = Frame.make([74, 74], [[0, 0, 0], [0, 0, 2.5]])
    name = rf"label engine 'ase' \(.*{wrong.__name__}\): .*"
    with pytest.raises(AssertionError, match=name + message):
        check_label_engine(wrong, EMT, failing=tungsten)


def test_an_engine_that_lacks_something_is_refused_when_its_class_is_made():
    with pytest.raises(ContractError, match=r"Lacking: lacks default_code .*, theory\(\)"):

        class Lacking(LabelEngine):
            name = "lacking"
            Settings = EngineSettings

    with pytest.raises(ContractError, match=r"Half: lacks label\(\)"):

        class Half(FrameEngine):
            name, default_code, Settings = "half", "code@localhost", EngineSettings

            @staticmethod
            def theory(settings):
                return "half"
