"""Databases and brokers that do not answer: one line, in a bounded time."""

from __future__ import annotations

import threading

import pytest
from aiida.common.exceptions import CorruptStorage, UnreachableStorage
from aiida.engine.daemon.client import DaemonException
from aiida.manage import get_manager
from click.testing import CliRunner
from sqlalchemy.exc import OperationalError

from aiida_trainspot.runtime import broker, patience, profile, watchdog
from aiida_trainspot.runtime.patience import Answering, within
from trainspot.cli import main
from trainspot.common.errors import InputError, RunError


@pytest.fixture
def never():
    """A question that nobody answers until the test has ended."""
    ended = threading.Event()
    yield lambda *_: str(ended.wait(timeout=60))
    ended.set()


def test_who_asks_waits_no_longer_than_said(never):
    assert within(0.01, never) == "no answer within 0.01 s"
    assert within(60, lambda word: word, "well") == "well"
    with pytest.raises(ZeroDivisionError):
        within(60, lambda: str(1 / 0))


@pytest.mark.parametrize(
    ("error", "who"),
    [
        (OperationalError("select", {}, Exception("database is locked\nmore")), "database"),
        (UnreachableStorage("gone"), "database"),
        (DaemonException("timed out"), "daemon"),
        (ConnectionError(), "broker"),
        (TimeoutError("no answer"), "broker"),
    ],
)
def test_a_service_that_fails_a_command_is_one_line(error, who):
    with pytest.raises(RunError, match=rf"^the {who} does not answer \(.*\); nothing is lost; "):
        raise_inside(error)


@pytest.mark.parametrize(
    "error", [ValueError("x"), FileNotFoundError(2, "x", "y"), InputError("x"), KeyboardInterrupt()]
)
def test_all_other_errors_stay_what_they_are(error):
    with pytest.raises(type(error)) as caught:
        raise_inside(error)
    assert caught.value is error


def raise_inside(error: BaseException) -> None:
    with Answering():
        raise error


def test_the_commands_say_it(campaign, monkeypatch):
    def locked(_):
        raise OperationalError("select", {}, Exception("database is locked"))

    monkeypatch.setattr("aiida_trainspot.results.status.stages_of", locked)
    result = CliRunner().invoke(main, ["status", "silicon"])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: the database does not answer (")
    assert "database is locked" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_database_is_opened_in_a_bounded_time(aiida_profile, never, monkeypatch):
    profile.open_storage(aiida_profile)
    monkeypatch.setattr(profile, "_PATIENCE", 0.01)
    for storage, kind, message in (
        (never, RunError, r"does not answer \(no answer within 0.01 s\)"),
        (raising(UnreachableStorage("refused\nat 5432")), RunError, r"answer \(refused\); nothing"),
        (raising(CorruptStorage("torn")), InputError, r"cannot be used \(torn\)"),
    ):
        monkeypatch.setattr(get_manager(), "get_profile_storage", storage)
        monkeypatch.setattr(profile, "_PATIENCE", 0.01 if storage is never else 60)
        with pytest.raises(kind, match=message):
            profile.open_storage(aiida_profile)


def raising(error: Exception):
    def fail(*_):
        raise error

    return fail


# ── brokers ───────────────────────────────────────────────────────────────────
def test_an_embedded_broker_that_died_or_hangs(server, embedded, monkeypatch):
    assert broker.silence(embedded) == "it has died"  # the process of its number is no broker
    monkeypatch.setattr(broker, "broker_of", lambda _: "a process")
    assert broker.silence(embedded) == ""
    monkeypatch.setattr(broker, "_LONG", 0.05)
    monkeypatch.setitem(server._handlers, "rpc", lambda *_: None)
    assert broker.silence(embedded) == "no answer within 0.05 s"


class Service:
    """A broker of another kind, as AiiDA would connect to it."""

    def __init__(self, reachable) -> None:
        self.check_service_reachable = reachable

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        pass


def test_another_broker_is_asked_for_a_connection(aiida_profile, monkeypatch, never):
    monkeypatch.setattr(type(aiida_profile), "process_control_backend", "core.rabbitmq")
    for reachable, said in (
        (lambda: True, ""),
        (lambda: False, "no connection"),
        (never, "no answer within 0.01 s"),
    ):
        service = Service(reachable)
        monkeypatch.setattr(broker, "BrokerFactory", lambda _, s=service: lambda _: s)
        monkeypatch.setattr(broker, "_LONG", 0.01 if reachable is never else 60.0)
        assert broker.silence(aiida_profile) == said
    monkeypatch.setattr(type(aiida_profile), "process_control_backend", None)
    assert broker.silence(aiida_profile) == "it has none"


# ── the watchdog ──────────────────────────────────────────────────────────────
def test_the_watchdog_survives_what_does_not_answer(campaign, aiida_profile, monkeypatch):
    manager = get_manager()
    closed, looked = [], []
    monkeypatch.setattr(manager, "reset_profile", lambda: closed.append(1))
    monkeypatch.setattr("aiida.common.log.configure_logging", lambda **_: None)
    monkeypatch.setattr(
        "aiida_trainspot.runtime.upkeep.look_after",
        lambda nodes: looked.extend(n.pk for n in nodes) or ["done"],
    )
    watchdog.look_once(aiida_profile.name)
    assert looked == [campaign.pk]
    for error in (UnreachableStorage("x"), OperationalError("x", {}, Exception()), OSError()):
        monkeypatch.setattr(manager, "load_profile", raising(error))
        watchdog.look_once(aiida_profile.name)
    assert len(closed) == 4
    assert patience.AGAIN.startswith("nothing is lost")
