"""What has become of a daemon, told by its PID file: runs, stopped, died, another program's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiida.engine.daemon.client import DaemonClient, DaemonException
from aiida.manage import get_config
from click.testing import CliRunner

from aiida_trainspot.cli import _attend, _watch
from aiida_trainspot.launch import checks
from aiida_trainspot.runtime import daemon, processes
from aiida_trainspot.runtime.daemon import State, look
from aiida_trainspot.workflows.campaign import base
from trainspot.cli import main
from trainspot.common.errors import RunError

SLEEP = "import time; time.sleep(600)"


@pytest.fixture
def pid_file(embedded):
    path = Path(DaemonClient(embedded).circus_pid_file)
    path.parent.mkdir(parents=True, exist_ok=True)
    yield path
    path.unlink(missing_ok=True)


@pytest.fixture
def program():
    """Starts programs that wait, with these arguments, as if for this configuration."""
    started = []

    def start(*arguments: str, folder: str | None = None) -> subprocess.Popen:
        env = {"AIIDA_PATH": folder or get_config().dirpath}
        started.append(subprocess.Popen([sys.executable, "-c", SLEEP, *arguments], env=env))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_without_a_pid_file_it_was_stopped(embedded, pid_file):
    found = look(embedded)
    assert (found.state, found.pid) == (State.STOPPED, None)
    assert found.what == f"the daemon of profile '{embedded.name}' is not running"
    assert found.remedy == f"run: trainspot setup -p {embedded.name}"


@pytest.mark.parametrize("content", ["", "\n", "12 34", "\0\0\0"])
def test_a_pid_file_that_a_power_cut_left_unwritten_says_nothing(content, embedded, pid_file):
    pid_file.write_text(content)
    assert look(embedded).state is State.STOPPED


def test_a_process_that_is_gone_has_died(embedded, pid_file, program):
    gone = program()
    pid_file.write_text(str(gone.pid))
    gone.kill()  # as long as nobody waits for it, it is a zombie
    os.waitid(os.P_PID, gone.pid, os.WEXITED | os.WNOWAIT)
    for _ in range(2):
        found = look(embedded)
        assert (found.state, found.pid) == (State.DIED, gone.pid)
        assert f"was killed or died in a reboot: process {gone.pid} of" in found.what
        gone.wait()


def test_a_number_that_cannot_be_a_process_has_died(embedded, pid_file):
    pid_file.write_text("-3")
    assert look(embedded).state is State.DIED


def test_the_number_of_another_program_is_no_daemon(embedded, pid_file, program):
    pid_file.write_text(str(program().pid))
    found = look(embedded)
    assert found.state is State.FOREIGN
    assert "is another program (python" in found.what


def test_the_daemon_of_another_profile_or_configuration_is_no_daemon_either(
    embedded, pid_file, program, tmp_path
):
    command = ("daemon", "start-circus", "2")
    for other in (
        program("-p", "other", *command),
        program("-p", embedded.name, *command, folder=str(tmp_path)),
    ):
        pid_file.write_text(str(other.pid))
        assert look(embedded).state is State.FOREIGN
    pid_file.write_text(str(program("-p", embedded.name, *command).pid))
    assert look(embedded).state is State.RUNS
    assert look(embedded).remedy == ""


def test_a_profile_without_broker_can_have_none(aiida_profile, monkeypatch):
    monkeypatch.setattr(type(aiida_profile), "process_control_backend", None)
    found = look(aiida_profile)
    assert found.state is State.IMPOSSIBLE
    with pytest.raises(
        RunError, match="no broker and so cannot have a daemon; run: verdi profile conf"
    ):
        daemon.start(aiida_profile, 1)


# ── starting ──────────────────────────────────────────────────────────────────
@pytest.fixture
def started(monkeypatch):
    """Keeps AiiDA from starting a daemon; how often it was asked to."""
    asked = []
    monkeypatch.setattr(DaemonClient, "start_daemon", lambda _, **given: asked.append(given))
    monkeypatch.setattr(daemon, "watch_over", lambda _: True)
    monkeypatch.setattr(daemon, "_wait_for_broker", lambda _: None)
    return asked


def test_what_a_dead_daemon_left_goes_before_another_starts(embedded, pid_file, program, started):
    verdi = ("-p", embedded.name, "daemon")
    left = [program(*verdi, "worker"), program(*verdi, "broker", "--service-dir", "x")]
    left.append(program("--log-output", DaemonClient(embedded).circus_log_file))
    others = [program("-p", "other", "daemon", "worker"), program("worker")]
    found = processes.orphans(embedded)
    assert [process.pid for process in found] == [process.pid for process in left]
    pid_file.write_text(str(others[0].pid))
    broker, sockets = processes.broker_files(embedded)
    broker.parent.mkdir(parents=True)
    broker.write_text(f"aiida-zeromq-broker {others[1].pid}")  # a reboot gave it away, too
    sockets.write_text("/tmp/of-the-dead-one")
    assert daemon.start(embedded, 3)
    assert started == [{"number_workers": 3, "timeout": 60}]
    assert not pid_file.exists()
    broker.parent.rmdir()  # nothing is left there, and no worker will try the dead sockets
    assert [process.poll() is None for process in left + others] == [False] * 3 + [True] * 2


def test_one_that_runs_is_left_alone(embedded, pid_file, program, started, monkeypatch):
    pid_file.write_text(str(program("daemon", "start-circus").pid))
    monkeypatch.setattr(daemon, "silence", lambda _: "")
    assert not daemon.start(embedded, 1)
    assert started == []
    monkeypatch.setattr(daemon, "silence", lambda _: "it has died")
    stopped = []
    monkeypatch.setattr(DaemonClient, "stop_daemon", lambda _, **given: stopped.append(given))
    assert daemon.start(embedded, 1)
    assert len(stopped) == len(started) == 1


def test_one_that_neither_starts_nor_stops_is_one_line(embedded, pid_file, monkeypatch):
    def fail(*_, **__):
        raise DaemonException("no\nway")

    monkeypatch.setattr(DaemonClient, "start_daemon", fail)
    monkeypatch.setattr(DaemonClient, "stop_daemon", fail)
    with pytest.raises(RunError, match=r"^the daemon does not start: no way$"):
        daemon.start(embedded, 1)
    with pytest.raises(RunError, match=r"^the daemon does not stop: no way; end process"):
        daemon.stop(embedded)


def test_the_broker_of_a_new_daemon_is_waited_for(embedded, monkeypatch):
    answers = iter(["it has died", "no answer within 10 s", ""])
    monkeypatch.setattr(daemon, "silence", lambda _: next(answers))
    monkeypatch.setattr(daemon, "_PAUSE", 0.0)
    daemon._wait_for_broker(embedded)
    monkeypatch.setattr(daemon, "silence", lambda _: "it has died")
    monkeypatch.setattr(daemon, "_START", 0)
    with pytest.raises(RunError, match=r"its broker does not answer \(it has died\); see: verdi"):
        daemon._wait_for_broker(embedded)


def test_a_broker_that_does_not_answer_stops_everything(embedded, pid_file, program, monkeypatch):
    pid_file.write_text(str(program("daemon", "start-circus").pid))
    assert daemon.stall(embedded) is None  # it is young: the broker may still be starting
    monkeypatch.setattr(daemon, "_START", 0)
    stalled = daemon.stall(embedded)
    assert stalled["reason"].endswith("does not answer (it has died)")
    assert stalled["do"] == f"run: trainspot setup -p {embedded.name}"


def test_the_supervisor_is_asked_once_for_the_watchdog(embedded, monkeypatch):
    watchers, asked = ["aiida"], []

    def call(_, message, **__):
        asked.append(message)
        if message["command"] == "add":
            watchers.append(message["properties"]["name"])
        return {"watchers": watchers, "status": "ok"}

    monkeypatch.setattr(DaemonClient, "call_client", call)
    assert daemon.watch_over(embedded)
    assert daemon.watch_over(embedded)
    assert [message["command"] for message in asked] == ["list", "add", "list"]
    command = asked[1]["properties"]["cmd"]
    assert command.endswith(f"-m aiida_trainspot.runtime.watchdog {embedded.name}")

    monkeypatch.setattr(DaemonClient, "call_client", lambda *_, **__: {"status": "error"})
    assert not daemon.watch_over(embedded)

    def fail(*_, **__):
        raise DaemonException

    monkeypatch.setattr(DaemonClient, "call_client", fail)
    assert not daemon.watch_over(embedded)


@pytest.mark.usefixtures("embedded")
def test_a_campaign_in_a_worker_asks_for_the_watchdog_until_it_is_there(monkeypatch):
    answers, later = iter([False, True]), []

    class Campaign:
        loop = SimpleNamespace(call_later=lambda *given: later.append(given))
        has_terminated = staticmethod(lambda: False)
        have_watchdog = base.CampaignBase.have_watchdog

    monkeypatch.setattr(base, "watch_over", lambda _: next(answers))
    Campaign().have_watchdog()
    ((seconds, again),) = later
    assert seconds == 60.0
    again()
    assert len(later) == 1


# ── what the commands say ─────────────────────────────────────────────────────
@pytest.mark.parametrize("state", ["stopped", "died", "foreign"])
def test_status_says_that_nothing_moves_and_what_to_type(
    state, embedded, pid_file, program, campaign, monkeypatch
):
    process = program()
    if state != "stopped":
        pid_file.write_text(str(process.pid))
    if state == "died":
        process.kill()
        process.wait()
    why = f"{look(embedded).what}; run: trainspot setup -p {embedded.name}"
    expected = f"the campaign cannot continue: {why}"
    for command in (["status"], ["status", "silicon"]):
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 0
        assert expected in result.output.splitlines()
        (found, *_) = [json.loads(CliRunner().invoke(main, [*command, "--json"]).stdout)]
        stalled = (found[0] if isinstance(found, list) else found)["stalled"]
        assert stalled == {"reason": look(embedded).what, "do": look(embedded).remedy}
    remark = checks.on_daemon()[0]
    assert (remark.level, "\n" in remark.text) == ("error", False)
    assert remark.text == expected.partition(": ")[2]


def test_a_campaign_that_has_ended_needs_no_daemon(embedded, campaign):
    campaign.set_process_state("finished")
    campaign.set_exit_status(0)
    found = json.loads(CliRunner().invoke(main, ["status", "silicon", "--json"]).stdout)
    assert found["stalled"] is None


def test_whoever_watches_sees_it_once(campaign, monkeypatch, capsys):
    stalled = {"reason": "no daemon", "do": "run: trainspot setup"}
    monkeypatch.setattr(_watch, "attend", lambda _: stalled)
    looks = []

    def sleep(_):
        looks.append(1)
        if len(looks) == 40:
            campaign.set_process_state("finished")
            campaign.set_exit_status(0)

    monkeypatch.setattr(_watch.time, "sleep", sleep)
    _watch.watch(campaign)
    assert capsys.readouterr().err.count(_attend.in_words(stalled)) == 1
