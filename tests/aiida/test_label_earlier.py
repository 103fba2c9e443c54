"""Labels that are in the database are taken from there, frame by frame, with the engine ``ase``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.manage.caching import enable_caching
from aiida.plugins import WorkflowFactory
from ase.build import bulk

from aiida_trainspot.data.pes import PESData
from aiida_trainspot.functions.label import merge_labels, reuse_frames
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels
from trainspot.data.state import MOMENTS

EMT = {"calculator": "emt", "parameters": {"asap_cutoff": False}}
EMT |= {"practical_parameters": ["asap_cutoff"]}


@pytest.fixture
def code(aiida_profile_clean, aiida_localhost):
    program = Path(sys.executable).with_name("trainspot")
    return orm.InstalledCode(
        label="trainspot", computer=aiida_localhost, filepath_executable=str(program)
    ).store()


def label(frames, code, settings, *, cached=True):
    process = WorkflowFactory("trainspot.label")
    inputs = {"engine": orm.Str("ase"), "dataset": PESData(frames), "code": code}
    inputs |= {"settings": orm.Dict(settings), "min_success": orm.Float(0.1)}
    if not cached:
        return run_get_node(process, **inputs)[1]
    with enable_caching(identifier="aiida.calculations:trainspot.ase_label"):
        return run_get_node(process, **inputs)[1]


def computed(node):
    """Ids of the frames that jobs of a stage were given."""
    jobs = [n for n in node.called_descendants if isinstance(n, orm.CalcJobNode)]
    return [identity for job in jobs for identity in job.inputs.dataset.dataset.ids]


def test_only_what_is_new_is_computed(copper, code):
    first = label(copper[:2], code, EMT)
    assert computed(first) == [f.id for f in copper[:2]]
    # more frames, dealt otherwise, and a parameter that changes no number
    changed = {"calculator": "emt", "frames_per_job": 1}
    second = label(copper[:3], code, changed)
    assert computed(second) == [copper[2].id]
    labelled = second.outputs.labelled.dataset
    assert labelled.ids == [f.id for f in copper[:3]]
    before = first.outputs.labelled.dataset.column("energy")
    np.testing.assert_array_equal(labelled.column("energy")[:2], before)
    assert labelled.theories == first.outputs.labelled.dataset.theories
    # from both
    third = label(copper, code, EMT)
    assert computed(third) == [copper[3].id]
    (taken,) = (n for n in third.called_descendants if n.process_label == "reuse_frames")
    sources = taken.base.links.get_incoming(link_label_filter="labelled_%").all_nodes()
    jobs = {source.creator.pk for source in sources}
    assert len(jobs) == 2


def test_what_decides_the_numbers_or_the_user_has_them_computed_again(copper, code):
    label(copper[:1], code, EMT)
    other = {"calculator": "lj", "parameters": {"sigma": 2.3}}
    assert computed(label(copper[:1], code, other)) == [copper[0].id]
    assert computed(label(copper[:1], code, EMT, cached=False)) == [copper[0].id]
    program = orm.InstalledCode(
        label="other", computer=code.computer, filepath_executable="/bin/false"
    ).store()
    assert computed(label(copper[:1], program, EMT)) == [copper[0].id]


def test_failures_are_tried_again_where_a_setting_changed(copper, code):
    tungsten = Frame.from_atoms(bulk("W"))
    label([copper[0], tungsten], code, EMT)
    same = label([copper[0], tungsten], code, EMT)
    assert computed(same) == []
    assert same.outputs.failures.dataset.ids == [tungsten.id]
    changed = label([copper[0], tungsten], code, {"calculator": "emt"})
    assert computed(changed) == [tungsten.id]


def test_a_frame_with_another_moment_is_another_question(copper, aiida_profile):
    labels = Labels(-1.0, np.zeros((4, 3)), None, "former")
    up, down = (copper[0].with_(arrays={MOMENTS: np.full(4, m)}) for m in (1.0, -1.0))
    known = PESData([up.with_(labels=labels), copper[1].with_(labels=labels)])
    asked = PESData([down, copper[1], copper[2]])
    found = reuse_frames(dataset=asked, theory=orm.Str("now"), labelled_1=known)
    assert found["rest"].dataset.ids == [down.id, copper[2].id]
    assert found["labelled"].dataset.ids == [copper[1].id]
    assert found["labelled"].dataset.theories == ["now"]


def test_former_names_of_a_theory_become_one(copper, aiida_profile):
    def labelled(frame, theory):
        return frame.with_(labels=Labels(-1.0, np.zeros((4, 3)), None, theory))

    given = PESData([labelled(copper[0], "former"), copper[1], copper[2]])
    new = PESData([labelled(copper[1], "now"), labelled(copper[2], "former")])
    names = orm.Dict({"theory": "now", "former": ["former"]})
    merged = merge_labels(dataset=given, labelled=new, failures=PESData(), names=names)
    assert merged.dataset.theories == ["now"]
    assert Dataset.from_frames([]).merge(merged.dataset).ids == [f.id for f in copper[:3]]
