"""Processes that end with the one that started them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from trainspot.common import processes

_PARENT = """
import subprocess, sys, time
from trainspot.common import processes

child = subprocess.Popen(processes.ends_with_parent([sys.executable, "-c", sys.argv[1]]))
time.sleep(600)
"""
_CHILD = (
    "import os, time, pathlib; pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(600)"
)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_program_ends_with_the_process_that_started_it(tmp_path, how):
    parent = subprocess.Popen([sys.executable, "-c", _PARENT, _CHILD], cwd=tmp_path)
    child = 0
    try:
        file = tmp_path / "pid"
        child = int(waited(lambda: file.exists() and file.read_text()))
        assert alive(child)
        parent.send_signal(how)
        parent.wait(timeout=60)
        assert waited(lambda: not alive(child))
    finally:
        parent.kill()
        if child and alive(child):
            os.kill(child, signal.SIGKILL)


def waited(question, seconds: float = 60.0):
    """The first answer that is true."""
    end = time.monotonic() + seconds
    while not (answer := question()) and time.monotonic() < end:
        time.sleep(0.05)
    return answer


def alive(pid: int) -> bool:
    """Whether a process runs, which a zombie does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


@pytest.mark.parametrize("known", [True, False])
def test_an_older_util_linux_is_not_asked_for_what_it_does_not_know(tmp_path, monkeypatch, known):
    """That of RHEL 8 (2.32) has a ``setpriv`` without ``--pdeathsig``."""
    program = tmp_path / "setpriv"
    program.write_text(f"#!/bin/sh\necho unrecognized option >&2\nexit {0 if known else 1}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    guard = [str(program), "--pdeathsig", "TERM"] if known else []
    assert processes.ends_with_parent(["program", "-x"]) == [*guard, "program", "-x"]


def test_without_util_linux_a_command_stays_as_it_is(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert processes.ends_with_parent(["program", "-x"]) == ["program", "-x"]


TRACEBACK = """/x/load.py:9: FutureWarning: weights_only
  torch.load(f)
Traceback (most recent call last):
  File "a.py", line 1, in <module>
KeyError: 'x'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "b.py", line 2, in <module>
    raise ValueError("no")
ValueError: no
and more of it
srun: error: node1: task 0: Exited with exit code 1
/x/tempfile.py:7: ResourceWarning: Implicitly cleaning up
  _warnings.warn(message)
"""


@pytest.mark.parametrize(
    ("stderr", "line"),
    [
        (TRACEBACK, "ValueError: no"),
        (
            "Error: m.toy: no such file\n/x.py:1: UserWarning: w\n  w()\n",
            "Error: m.toy: no such file",
        ),
        ("WARNING: careful\n/x.py:1: UserWarning: w\n  w()\n", ""),
        ("Traceback (most recent call last):\n  cut", ""),
        ("out of memory\n\n", "out of memory"),
        ("", ""),
    ],
)
def test_the_line_of_an_error_is_found_between_warnings(stderr, line):
    assert processes.error_line(stderr) == line


def test_the_kernel_tells_of_kills_for_want_of_memory(tmp_path, monkeypatch):
    assert processes.kills_for_memory() is None or processes.kills_for_memory() >= 0
    counters = tmp_path / "vmstat"
    monkeypatch.setattr(processes, "_COUNTERS", counters)
    assert processes.kills_for_memory() is None
    counters.write_text("nr_free_pages 5\noom_kill 3\n")
    assert processes.kills_for_memory() == 3
    counters.write_text("nr_free_pages 5\n")
    assert processes.kills_for_memory() is None


def test_cores_are_those_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2, 5}, raising=False)
    assert processes.cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert processes.cores() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert processes.cores() == 1


@pytest.mark.parametrize(("always", "left"), [(True, "1"), (False, "4")])
def test_a_process_keeps_to_one_core(monkeypatch, always, left):
    for name in processes.THREADS:
        monkeypatch.setenv(name, "")  # restored afterwards
        monkeypatch.delenv(name)
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    processes.keep_to_one_core(always=always)
    assert [os.environ[name] for name in processes.THREADS] == [left, "1", "1"]


def test_the_threads_of_a_job_are_hashed_and_stay_as_they_are():
    assert processes.environment(2) == {"MKL_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
