"""The daemon loses a task and is killed whole, its numbers given away: the campaign goes on."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from contextlib import closing

import psutil
import pytest

pytestmark = [pytest.mark.engine, pytest.mark.slow]

SMALL = {
    "augment": [{"kind": "input"}, {"kind": "rattle", "fraction": 0.1, "copies": 12}],
    "train": {"engine": "toy", "committee_size": 2},
    "stop": {"max_iterations": 1},
}
LOST = "lost-ToyTrainWorkChain"
PATIENCE = 900  # s


def until(reached) -> None:
    end = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.5)  # another program's progress: there is nothing to wait on


def state(home) -> str:
    """Of the campaign, read from the file: nobody looks at it by a command of ours."""
    (database,) = (home.folder / "home" / ".aiida").glob("repository/*/database.sqlite")
    with closing(sqlite3.connect(database, timeout=60)) as file:
        query = (
            "select json_extract(attributes, '$.process_state') from db_dbnode"
            " where json_extract(attributes, '$.process_label') = 'TrainsPotWorkChain'"
        )
        return file.execute(query).fetchone()[0]


def test_a_campaign_survives_a_lost_task_and_a_reboot_though_nobody_looks(home):
    lost = home("lost", (LOST,), **SMALL)
    until(lambda: not (lost.folder / "moments" / LOST).exists())
    victims = lost.processes()
    for victim in victims:
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.kill()
    psutil.wait_procs(victims, timeout=60)
    folder = lost.folder / "home" / ".aiida"
    for file in (*folder.glob("daemon/*.pid"), *folder.glob("broker/*/broker.pid")):
        *words, _ = file.read_text().split()
        file.write_text(" ".join([*words, str(os.getpid())]))

    stalled = lost.status()["stalled"]
    assert f"process {os.getpid()} of its PID file is another" in stalled["reason"]
    assert stalled["do"] == "run: trainspot setup"
    with pytest.raises(AssertionError, match=r"^error: the daemon of .* was killed"):
        lost.call("trainspot", "check", "toy.yaml")
    lost.call("trainspot", "setup", "--no-install", "--workers", "1")
    until(lambda: state(lost) not in ("created", "waiting", "running"))

    answer = lost.answers()
    assert len(answer["labelled"]) == len(set(answer["labelled"]))
    assert answer["never_ended"] == answer["failed"] == []
    assert answer["members"] == SMALL["train"]["committee_size"]
    assert lost.status()["exit"]["label"] in ("max_iterations", "converged")
    lost.verdi("daemon", "stop")
    _, left = psutil.wait_procs(lost.processes(), timeout=60)
    assert left == []
