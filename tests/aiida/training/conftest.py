"""Frames, codes and finished nodes for the tests of the training stage."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from ase.build import bulk
from ase.calculators.emt import EMT

from aiida_trainspot.calculations.base import ENDED
from aiida_trainspot.data.pes import PESData
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels


@pytest.fixture(scope="session")
def copper() -> Dataset:
    """Eight rattled copper cells (six train, one each to validate and test) and the atom."""
    rng, frames = np.random.default_rng(1), []
    for row in range(8):
        atoms = bulk("Cu", a=3.7, cubic=True)
        atoms.positions += rng.normal(0, 0.1, (4, 3))
        atoms = Frame.from_atoms(atoms).to_atoms()
        atoms.calc = EMT()
        labels = Labels(
            round(atoms.get_potential_energy(), 6),
            atoms.get_forces().round(6),  # rounded: the same text on every machine
            atoms.get_stress(False).round(6),
            "emt",
        )
        split = {6: "validation", 7: "test"}.get(row, "train")
        frames.append(Frame.from_atoms(atoms, labels=labels, split=split))
    alone = Labels(3.5, np.zeros((1, 3)), None, "emt")
    return Dataset.from_frames(
        [*frames, Frame.make([29], [[0, 0, 0]], labels=alone, split="train")]
    )


@pytest.fixture
def program(aiida_localhost):
    """The AiiDA code of a program beside the interpreter."""
    aiida_localhost.set_minimum_job_poll_interval(0.1)

    def call(name):
        path = Path(sys.executable).with_name(name)
        return orm.InstalledCode(
            label=name, computer=aiida_localhost, filepath_executable=str(path)
        ).store()

    return call


@pytest.fixture
def finished(aiida_localhost, tmp_path):
    """A stored training job that left the given files (name: content)."""

    def call(engine, files, *, exit_status=None, outputs=None, **inputs):
        node = orm.CalcJobNode(
            computer=aiida_localhost, process_type=f"aiida.calculations:trainspot.{engine}_train"
        )
        node.set_option("resources", {"num_machines": 1})
        for label, source in inputs.items():
            node.base.links.add_incoming(source.store(), LinkType.INPUT_CALC, label)
        node.store()
        if exit_status is not None:
            node.set_exit_status(exit_status)
            node.set_exit_message("the reason")
        retrieved = orm.FolderData()
        for name, content in ({ENDED: b"0\n"} | files).items():
            path = tmp_path / "content"
            path.write_bytes(content)
            retrieved.base.repository.put_object_from_file(path, name)
        for label, output in {"retrieved": retrieved, **(outputs or {})}.items():
            output.base.links.add_incoming(node, LinkType.CREATE, label)
            output.store()
        return node

    return call


@pytest.fixture
def pes(copper):
    return PESData(copper)
