"""From a campaign to the inputs of the workchain: codes, resources, concurrency."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiida.orm import Computer, InstalledCode

from aiida_trainspot.data.pes import PESData
from aiida_trainspot.launch import builder
from trainspot.common.errors import InputError, UnknownNameError
from trainspot.common.processes import cores
from trainspot.config.document import Document
from trainspot.config.load import resolve
from trainspot.config.models import Resources
from trainspot.data.dataset import Dataset


@pytest.fixture
def cluster(aiida_profile_clean, tmp_path):
    computer = Computer("cluster", "localhost", "", "core.local", "core.slurm", str(tmp_path))
    computer.set_default_mpiprocs_per_machine(16)
    return computer.store()


@pytest.fixture
def pw(cluster):
    return InstalledCode(label="pw", computer=cluster, filepath_executable="/bin/true").store()


@pytest.fixture
def named(toys):
    return {"name": "toys", **toys}


@pytest.fixture
def campaign(named):
    def make(**changes):
        return resolve(Document(Path("c.yaml"), {**named, **changes})).campaign

    return make


def test_the_builder_of_a_mapping_is_complete(ours, silicon, named):
    made = builder.get_builder(named, dataset=[silicon], protocol="fast")
    assert made.dataset.dataset.ids == [silicon.id]
    config = made.config.get_dict()
    assert (config["name"], config["protocol"]) == ("toys", "fast")
    assert config["train"]["committee_size"] == 3
    assert config["train"]["settings"]["cutoff"] == 4.5
    assert {code.full_label for code in made.codes.values()} == {"ours@localhost"}
    assert set(made.codes) == set(made.options) == set(builder.STAGES)
    assert made.metadata.label == "toys"


def test_a_campaign_file_gives_the_same_builder(ours, silicon, tmp_path, named):
    import json

    path = tmp_path / "c.yaml"
    path.write_text(json.dumps(named))
    a = builder.get_builder(path, dataset=[silicon]).config.get_dict()
    assert a == builder.get_builder(named, dataset=[silicon]).config.get_dict()


def test_given_codes_win_and_stand_in_the_config(ours, pw, silicon, named, campaign):
    written = {**named, "label": {"engine": "quantumespresso"}}
    inputs = builder.campaign_inputs(
        campaign(**written), Dataset.from_frames([silicon]), codes={"label": pw}
    )
    assert inputs["codes"]["label"] is pw
    assert inputs["config"]["label"]["code"] == "pw@cluster"
    assert inputs["max_concurrent"]["train"] == cores()


def test_a_stored_dataset_is_taken_as_it_is(ours, silicon, campaign):
    node = PESData([silicon])
    assert builder.campaign_inputs(campaign(), node)["dataset"] is node


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (
            {"label": "oures@localhost"},
            "label.code: unknown .* did you mean 'ours@localhost'?",
        ),
        ({"labels": "ours@localhost"}, "codes: unknown stage 'labels'; did you mean 'label'?"),
    ],
)
def test_unknown_codes_and_stages_answer_with_the_nearest(codes, message, ours, silicon, campaign):
    with pytest.raises(UnknownNameError, match=message):
        builder.campaign_inputs(campaign(), [silicon], codes)


def test_two_codes_of_one_name_are_refused(ours):
    InstalledCode(label="ours", computer=ours.computer, filepath_executable="/bin/false").store()
    with pytest.raises(InputError, match=r"label\.code: several codes are called 'ours@localhost'"):
        builder.code_of("label", "ours@localhost")


# ── machine facts ─────────────────────────────────────────────────────────────
def test_a_serial_job_on_this_machine(ours):
    found = builder.options(ours, Resources())
    assert found == {
        "resources": {"num_machines": 1, "num_mpiprocs_per_machine": 1},
        "withmpi": False,
    }


def test_the_resources_of_a_cluster_become_options(pw, campaign):
    given = {
        "cluster": {"account": "x", "queue": "long", "walltime": 3600, "memory": 2.0},
        "pw@cluster": {"queue": "short", "machines": 2, "prepend": "module load qe"},
    }
    found = builder.options(pw, builder.resources_of(campaign(resources=given), pw))
    assert found == {
        "resources": {"num_machines": 2, "num_mpiprocs_per_machine": 16},
        "withmpi": True,
        "account": "x",
        "queue_name": "short",
        "max_wallclock_seconds": 3600,
        "max_memory_kb": 2_000_000,
        "prepend_text": "module load qe",
    }


def test_a_code_that_knows_about_mpi_wins(pw):
    serial = InstalledCode(
        label="serial", computer=pw.computer, filepath_executable="/bin/true", with_mpi=False
    )
    assert builder.options(serial, Resources(processes=4))["withmpi"] is False


@pytest.mark.parametrize(("given", "jobs"), [({}, 4), ({"processes": 2}, 2), ({"threads": 3}, 1)])
def test_without_a_scheduler_as_many_jobs_as_cores_allow(given, jobs, ours, monkeypatch):
    monkeypatch.setattr(builder, "cores", lambda: 4)
    assert builder.concurrency(ours, Resources(**given)) == jobs


def test_with_a_scheduler_a_third_of_the_slots_less_ten(pw, monkeypatch):
    monkeypatch.setattr(builder, "slots", lambda: 200)
    assert builder.concurrency(pw, Resources()) == 56
    assert 3 + 3 * builder.most_concurrent() <= 200
    monkeypatch.setattr(builder, "slots", lambda: 8)
    assert builder.concurrency(pw, Resources()) == 1
