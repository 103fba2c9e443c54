"""A file is run while a campaign that computes the same still runs."""

from __future__ import annotations

import json
import threading

import pytest
import yaml
from aiida.common.links import LinkType
from aiida.engine import ProcessState
from aiida.orm import WorkChainNode
from ase.build import bulk
from ase.io import write
from click.testing import CliRunner

from aiida_trainspot.launch import builder, checks, running
from aiida_trainspot.runtime import daemon
from trainspot.cli import main
from trainspot.config.load import load, read_inputs

FILE = {
    "name": "double",
    "seed": 7,
    "structures": ["Cu.cif"],
    "augment": [{"kind": "input"}, {"kind": "rattle", "copies": 5, "fraction": 0.1}],
    "split": {"fractions": [0.6, 0.3, 0.1]},
}


@pytest.fixture
def written(tmp_path, ours, toys):
    """Writes a campaign file in a folder of its own; gives its path."""

    def call(folder="one", a=3.6, **changes):
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        write(place / "Cu.cif", bulk("Cu", a=a, cubic=True))
        path = place / "campaign.yaml"
        merged = {**FILE, **toys}
        for section, change in changes.items():
            both = isinstance(change, dict) and section in merged
            merged[section] = {**merged[section], **change} if both else change
        path.write_text(yaml.safe_dump(merged))
        return path

    return call


def inputs_of(path):
    loaded = load(path)
    return builder.get_builder(loaded, dataset=read_inputs(loaded))


def submitted(inputs, *, ended=False):
    """The node of a campaign, as ``submit`` leaves it."""
    inputs = dict(inputs)
    node = WorkChainNode(label=inputs["metadata"]["label"])
    node.set_process_label("TrainsPotWorkChain")
    node.set_process_state(ProcessState.KILLED if ended else ProcessState.WAITING)
    for name in ("config", "dataset"):
        node.base.links.add_incoming(inputs[name].store(), LinkType.INPUT_WORK, name)
    return node.store()


def at_stage(node, name):
    child = WorkChainNode()
    child.set_process_state(ProcessState.WAITING)
    child.base.links.add_incoming(node, LinkType.CALL_WORK, f"iteration_1_{name}")
    child.store()


def test_a_campaign_with_the_same_file_is_found_wherever_the_file_lies(written):
    node = submitted(inputs_of(written()))
    at_stage(node, "label")
    for folder in ("one", "two"):
        found = running.twin(inputs_of(written(folder)))
        assert found.node.pk == node.pk
        assert found.is_same
        assert (
            f"campaign 'double' <{node.pk}> with the same file still runs, at stage label"
            in str(found)
        )
    hint = found.refusal().hint
    for line in (f"trainspot status {node.pk} --watch", f"trainspot stop {node.pk}", "--again"):
        assert line in hint


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"name": "other"}, "name"),
        ({"label": {"max_concurrent": 3}}, "label.max_concurrent"),
        ({"label": {"frames_per_job": 3}}, "label.frames_per_job"),
        ({"resources": {"localhost": {"walltime": 60}}}, "resources"),
        ({"evaluate": {"max_atoms": 64}}, "evaluate.max_atoms"),
    ],
)
def test_what_changes_no_result_makes_no_other_campaign(written, change, name):
    node = submitted(inputs_of(written()))
    at_stage(node, "train")
    found = running.twin(inputs_of(written(**change)))
    assert found.node.pk == node.pk
    assert not found.is_same
    assert f"only in settings that change no result: {name}" in str(found)


def test_labels_in_common_are_not_paid_for_twice(written):
    node = submitted(inputs_of(written()))
    changed = inputs_of(written(tolerance={"forces": 0.2}))
    found = running.twin(changed)
    assert found.differing is None
    assert "computes 6 labels that this file needs too" in str(found)
    # once they are there, they are taken
    at_stage(node, "train")
    assert running.twin(changed) is None


@pytest.mark.parametrize(
    ("change", "common"),
    [
        ({"a": 3.7}, 0),
        ({"label": {"calculator": "lj"}}, 0),
        # the given structure itself
        ({"augment": []}, 1),
        ({"seed": 8}, 1),
    ],
)
def test_other_labels_are_another_campaign(written, change, common):
    submitted(inputs_of(written()))
    found = running.twin(inputs_of(written("two", **change)))
    assert (found.labels if found else 0) == common


def test_what_has_ended_does_not_count(written):
    submitted(inputs_of(written()), ended=True)
    assert running.twin(inputs_of(written())) is None


# ── the command ───────────────────────────────────────────────────────────────
@pytest.fixture
def call(monkeypatch):
    """Runs ``trainspot run`` with a stand-in for the daemon."""
    monkeypatch.setattr(checks, "on_daemon", list)
    monkeypatch.setattr(daemon, "start", lambda *_: False)
    monkeypatch.setattr("aiida.engine.submit", submitted)
    monkeypatch.setattr("aiida_trainspot.cli._watch.watch", lambda _: 40)
    return lambda *args: CliRunner().invoke(main, ["run", *map(str, args)])


def test_a_second_run_is_refused_followed_or_forced(written, call):
    """Source: dpdispatcher #133 and dpgen #1678: run, Ctrl-C, run again."""
    first = json.loads(call(written(), "--json").stdout)
    refused = call(written())
    assert refused.exit_code == 2
    assert refused.output.count("campaign 'double'") == 1
    assert len(running.running()) == 1
    followed = call(written(), "--wait", "--json")
    assert json.loads(followed.stdout) == first
    assert followed.exit_code == 40
    assert ": showing its progress" in followed.stderr
    other = call(written(name="x"), "--wait")
    assert other.exit_code == 2
    assert len(running.running()) == 1
    forced = call(written(), "--again")
    assert forced.exit_code == 0
    assert len(running.running()) == 2


def test_one_command_at_a_time_looks_and_submits(aiida_profile):
    order, inside = [], threading.Event()

    def second():
        with running.one_at_a_time():
            order.append("second")

    with running.one_at_a_time():
        thread = threading.Thread(target=second)
        thread.start()
        assert not inside.wait(0.2)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
