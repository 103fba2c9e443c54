"""Status of campaigns made of bare nodes: what is judged, what runs, how it ended."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from aiida.common.links import LinkType
from aiida.orm import CalcFunctionNode, CalcJobNode, Dict, WorkChainNode
from click.testing import CliRunner
from plumpy import ProcessState
from rich.text import Text

from aiida_trainspot.cli import _watch
from aiida_trainspot.results.find import find
from aiida_trainspot.results.status import Progress, progress, status
from trainspot.cli import main
from trainspot.common.errors import InputError
from trainspot.predictions.calibration import Calibration

RECORD = {"n": 1, "labelled": 4, "labelled_total": 4, "explored": 9, "flagged": 3, "selected": 2}
RECORD |= {"audit": 1, "rmse": {"test": {"forces": {"mean": 0.2, "std": 0.1}}}}


@pytest.fixture
def campaign(aiida_profile_clean):
    """A campaign whose children are added one by one, each a minute after the other."""

    class Campaign:
        def __init__(self):
            self.node = WorkChainNode(label="silicon")
            self.node.set_process_label("TrainsPotWorkChain")
            self.node.set_process_state(ProcessState.WAITING)
            self.node.store()
            self.minutes = 0

        def child(self, label, kind=WorkChainNode, parent=None, *, name="", ended=True, out=None):
            parent = parent or self.node
            child = kind(computer=None)
            child.set_process_label(name or label)
            child.set_process_state(ProcessState.FINISHED if ended else ProcessState.RUNNING)
            if ended:
                child.set_exit_status(0)
            link = LinkType.CALL_WORK if kind is WorkChainNode else LinkType.CALL_CALC
            child.base.links.add_incoming(parent, link, label)
            child.store()
            start = self.node.ctime + timedelta(minutes=self.minutes)
            self.minutes += 1
            backend = child.backend_entity.bare_model
            backend.ctime = start
            backend.mtime = start + timedelta(seconds=30)
            if out is not None:
                out.base.links.add_incoming(child, LinkType.CREATE, "record")
                out.store()
            return child

        def end(self, exit_status, message="", state=ProcessState.FINISHED):
            self.node.set_process_state(state)
            if exit_status is not None:
                self.node.set_exit_status(exit_status)
                self.node.set_exit_message(message)

        def turn(self, n, record=None):
            for stage in ("label", "train", "explore", "evaluate"):
                self.child(f"iteration_{n}_{stage}")
            if record:
                self.child("CALL", CalcFunctionNode, name="judge", out=Dict(record))

    return Campaign()


def test_a_campaign_that_has_just_started(campaign):
    found = status(campaign.node)
    assert found["state"] == "waiting"
    assert found["exit"] is None
    assert found["stage"] == "augment"
    assert found["iterations"] == []
    assert progress(campaign.node) == Progress(1, "augment", 0, 0)


def test_a_running_campaign_shows_what_was_judged_and_the_stage(campaign):
    campaign.child("augment")
    campaign.turn(1, RECORD)
    label = campaign.child("iteration_2_label", ended=False)
    for ended in (True, True, False):
        campaign.child("CALL", CalcJobNode, label, ended=ended)
    found = status(campaign.node)
    assert set(found) == {"id", "name", "state", "exit", "stage", "iterations", "retries"}
    assert found["id"] == campaign.node.uuid
    assert found["name"] == "silicon"
    assert found["stage"] == "label"
    (one,) = found["iterations"]
    assert one | {"seconds": 0} == RECORD | {"seconds": 0}
    stages = ("augment", "label", "train", "explore", "evaluate", "judge")
    assert one["seconds"] == dict.fromkeys(stages, 30.0)
    assert progress(campaign.node) == Progress(2, "label", 2, 3)
    json.dumps(found)


def test_the_final_figures_win_over_those_of_the_judgement(campaign):
    campaign.turn(1, RECORD)
    campaign.child("compare_1", CalcJobNode)
    final = Dict(RECORD | {"common_test": {"forces": 0.21}})
    final.store()
    final.base.links.add_incoming(campaign.node, LinkType.RETURN, "iterations__iteration_1")
    campaign.end(0)
    found = status(campaign.node)
    assert found["exit"] == {"status": 0, "label": "converged"}
    assert found["iterations"][0]["common_test"] == {"forces": 0.21}
    assert found["iterations"][0]["seconds"]["compare"] == 30.0


def test_labels_after_the_last_judgement_count_to_it(campaign):
    campaign.turn(1, RECORD)
    campaign.child("iteration_2_label")
    assert "final_label" not in status(campaign.node)["iterations"][0]["seconds"]
    campaign.end(0)
    assert status(campaign.node)["iterations"][0]["seconds"]["final_label"] == 30.0


@pytest.mark.parametrize(
    ("exit_status", "state", "label"),
    [
        (420, ProcessState.FINISHED, "max_iterations"),
        (411, ProcessState.FINISHED, "no_valid_exploration"),
        (None, ProcessState.KILLED, "killed"),
        (None, ProcessState.EXCEPTED, "excepted"),
    ],
)
def test_every_ending_has_a_name(exit_status, state, label, campaign):
    campaign.end(exit_status, "because", state)
    ending = status(campaign.node)["exit"]
    assert (ending["status"], ending["label"]) == (exit_status, label)


def test_a_crash_is_told_by_the_line_that_names_it(campaign):
    campaign.node.set_exception("Traceback:\n  File x\nValueError: no\n    For more, see y\n")
    campaign.end(None, state=ProcessState.EXCEPTED)
    assert status(campaign.node)["exit"]["message"] == "ValueError: no"


@pytest.mark.parametrize(
    ("exit_status", "expected"), [(0, 0), (420, 0), (421, 0), (422, 0), (452, 1)]
)
def test_watching_ends_with_the_campaign(exit_status, expected, campaign, monkeypatch):
    def sleep(_):
        assert not campaign.node.is_terminated
        campaign.end(exit_status, "because")

    monkeypatch.setattr(_watch.time, "sleep", sleep)
    assert _watch.watch(campaign.node) == expected


def test_every_closing_line_stands_for_itself(campaign, monkeypatch, capsys):
    monkeypatch.setattr(_watch, "closing", lambda *_: [Text("one"), Text("two")])
    campaign.end(0, "")
    _watch.watch(campaign.node)
    shown = CliRunner().invoke(main, ["status", "silicon"]).stdout
    for text in (shown, capsys.readouterr().err):
        assert text.splitlines()[-2:] == ["one", "two"]


def test_the_end_tells_what_was_lacking_and_what_comes_next():
    unfitted = replace(Calibration.given("forces", 0.1), pairs=5, needed=19, fitted=False)
    few = {"n": 1, "random_choice": True, "calibration": {"forces": unfitted.to_dict()}}
    report = {"stage": "train", "exit": None, "iterations": []}
    assert [str(line) for line in _watch.closing(report, 7)] == ["stage: train"]
    ended = report | {"exit": {"status": 420, "label": "max_iterations"}, "iterations": [few]}
    first, lacking, last = (str(line) for line in _watch.closing(ended, 7))
    assert first == "max_iterations"
    assert "thresholds need 19 labelled frames" in lacking
    assert last == "next: trainspot report 7; trainspot export 7 -o FOLDER"


def test_a_log_gets_one_line_a_stage(campaign, monkeypatch, capsys):
    pauses = iter([lambda: None, lambda: None, lambda: campaign.end(0, "")])
    monkeypatch.setattr(_watch.time, "sleep", lambda _: next(pauses)())
    _watch.watch(campaign.node)
    lines = capsys.readouterr().err.splitlines()
    assert sum(line.startswith("iteration ") for line in lines) == 1


def test_an_interrupt_leaves_the_campaign_running(campaign, monkeypatch, capsys):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(_watch.time, "sleep", interrupt)
    assert _watch.watch(campaign.node) == 0
    assert not campaign.node.is_terminated
    assert f"trainspot status {campaign.node.pk} --watch" in capsys.readouterr().err


def test_campaigns_are_found_by_name_pk_and_uuid(campaign):
    node = campaign.node
    for identifier in ("silicon", str(node.pk), node.uuid, node.uuid[:8]):
        assert find(identifier).pk == node.pk
    with pytest.raises(InputError, match="no campaign 'germanium'; trainspot status lists"):
        find("germanium")
    with pytest.raises(InputError, match="is a Dict, not a campaign"):
        find(str(Dict({}).store().pk))


def test_a_uuid_may_begin_like_a_pk(aiida_profile_clean):
    node = next(n for n in iter(WorkChainNode, None) if n.uuid[:5].isdigit() and n.uuid[0] != "0")
    node.set_process_label("TrainsPotWorkChain")
    node.store()
    assert find(node.uuid[:5]).pk == node.pk


def test_the_command_shows_one_campaign_or_all(campaign):
    campaign.turn(1, RECORD)
    run = CliRunner().invoke
    assert json.loads(run(main, ["status", "silicon", "--json"]).output)["name"] == "silicon"
    (row,) = json.loads(run(main, ["status", "--json"]).output)
    assert row["pk"] == campaign.node.pk
    text = run(main, ["status", "silicon"], terminal_width=200).output
    assert "200 meV/Å" in text
    assert "silicon" in run(main, ["status"]).output
    assert run(main, ["status", "nothing"]).exit_code == 2


def test_the_table_compares_committees_on_the_final_test_frames_once_it_can(campaign):
    def shown(*records):
        made = {"name": "silicon", "id": "0123456789", "state": "finished"}
        iterations = [{**RECORD, **record, "seconds": {}} for record in records]
        return _watch.table(made | {"iterations": iterations})

    def column(table):
        found = table.columns[2]
        return found.header, list(found.cells)

    final = {"common_test": {"forces": 0.4}}
    assert column(shown({}, {})) == ("force RMSE (test)", ["200 meV/Å"] * 2)
    assert column(shown(final, {})) == ("force RMSE (test)", ["200 meV/Å"] * 2)
    assert column(shown(final, final)) == ("force RMSE (final test)", ["400 meV/Å"] * 2)
    assert column(shown({"rmse": {}})) == ("force RMSE (test)", ["–"])


def test_stopping_what_has_ended_says_so(campaign):
    campaign.end(0)
    result = CliRunner().invoke(main, ["stop", "silicon"])
    assert result.exit_code == 0
    assert "has ended already" in result.stderr
