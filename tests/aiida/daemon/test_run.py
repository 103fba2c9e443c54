"""``trainspot run`` starts the daemon it needs, after it has looked at everything else."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import yaml
from ase.build import bulk
from click.testing import CliRunner

from aiida_trainspot.launch import checks
from aiida_trainspot.runtime import daemon
from trainspot.cli import main
from trainspot.common.errors import RunError


@pytest.fixture
def run(ours, embedded, toys, tmp_path, monkeypatch):
    """Runs a campaign file up to the point where it would be submitted."""
    monkeypatch.chdir(tmp_path)
    bulk("Al", cubic=True).write("al.cif")
    submitted = SimpleNamespace(uuid="its uuid", pk=7)
    monkeypatch.setattr("aiida.engine.submit", lambda _: submitted)
    monkeypatch.setattr(checks, "on_daemon", list)

    def invoke(**changes):
        content = {"name": "al", "structures": ["al.cif"], **toys, **changes}
        (tmp_path / "al.yaml").write_text(yaml.safe_dump(content))
        return CliRunner().invoke(main, ["run", "al.yaml"])

    return invoke


@pytest.mark.parametrize("started", [True, False])
def test_a_daemon_is_started_if_none_runs(started, run, embedded, monkeypatch):
    asked = []
    monkeypatch.setattr(daemon, "start", lambda *given: asked.append(given) or started)
    result = run()
    assert (result.exit_code, result.stdout) == (0, "its uuid\n")
    assert [given[0].name for given in asked] == [embedded.name]
    why = f"the daemon of profile '{embedded.name}' is not running"
    note = f"note: started the daemon, because {why}\n"
    assert (note in result.stderr) == started


def test_a_daemon_that_does_not_start_is_one_line_and_nothing_is_submitted(run, monkeypatch):
    def fail(*_):
        raise RunError("the daemon does not start: no disk")

    monkeypatch.setattr(daemon, "start", fail)
    result = run()
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1] == "Error: the daemon does not start: no disk"


def test_none_is_started_for_a_campaign_that_cannot_run(run, monkeypatch):
    monkeypatch.setattr(daemon, "start", lambda *_: pytest.fail("started"))
    result = run(train={"engine": "toy", "code": "nobody@localhost"})
    assert result.exit_code == 2
    assert "unknown code 'nobody@localhost'" in result.stderr
