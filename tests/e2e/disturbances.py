"""Disturbs small campaigns at many moments, and sees whether they end as an undisturbed one.

Each try is a campaign of its own in one profile without caching: one iteration on aluminium with
EMT and the toy trainer, always the same. At a moment of its life the daemon is disturbed, brought
back by ``trainspot setup``, and then nobody looks through our commands: the state is read from the
database file. At the end the same frames must have been labelled, each once, with as many jobs.
Jobs that were killed are counted on their own: no more than ran at a power cut, and none without
one. No process may be open, and after the last try ``verdi daemon stop`` must leave no process.

Disturbances: ``stop`` (``verdi daemon stop``), ``power`` (everything killed at once), ``reboot``
(that, and the PID files of daemon and broker name another program), ``supervisor``, ``broker``,
``workers`` (one part killed with -9).

    python tests/e2e/disturbances.py FOLDER --kinds stop --moments 20 --seed 1
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psutil
import yaml
from ase.build import bulk

HERE = Path(sys.executable).parent
PATIENCE = 900.0  # s; for a campaign that takes half a minute on an idle machine
DONE = ("finished", "killed", "excepted")
SAME = ("labelled", "final", "exit", "jobs")
"""What a disturbed campaign has in common with an undisturbed one."""

TOY = Path(__file__).parents[1] / "toy.yaml"
SMALLER = {
    "augment": [{"kind": "input"}, {"kind": "rattle", "fraction": 0.1, "copies": 24}],
    "label": {"frames_per_job": 9},
    "train": {"committee_size": 2},
    "explore": {"starts": 2},
    "select": {"max_frames": 4, "audit": 1},
    "stop": {"max_iterations": 1},
}
"""Where the campaign differs from the toy campaign of the tests."""

# Run by ``verdi run``: what a campaign labelled, and how it ended.
QUESTION = """
import json, sys
from aiida.orm import CalcJobNode, ProcessNode, QueryBuilder, load_node
from aiida_trainspot.results.status import status
from aiida_trainspot.workflows.once import is_replaced
node = load_node(int(sys.argv[1]))
jobs = [n for n in node.called_descendants if n.process_label == "AseLabelCalculation"]
everything = QueryBuilder().append(ProcessNode).all(flat=True)
made = [n for n in node.called_descendants if isinstance(n, CalcJobNode) and not is_replaced(n)]
cut_off = [n for n in made if n.exit_status == 406]
print(json.dumps({
    "labelled": sorted(i for n in jobs if "labelled" in n.outputs for i in n.outputs.labelled.ids),
    "final": sorted(node.outputs.dataset.dataset.ids) if "dataset" in node.outputs else [],
    "exit": (status(node)["exit"] or {}).get("label"),
    "jobs": len(made) - len(cut_off),
    "killed": len(cut_off),
    "replaced": sum(map(is_replaced, node.called_descendants)),
    "open": [n.pk for n in everything if not n.is_terminated],
}))
"""


def _campaign() -> dict[str, Any]:
    content = yaml.safe_load(TOY.read_text(encoding="utf-8"))
    for key, value in SMALLER.items():
        content[key] = content[key] | value if isinstance(value, dict) else value
    return content


class Profile:
    """A fresh profile in a folder, used through command lines only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.env = {k: v for k, v in os.environ.items() if k != "AIIDA_PATH"}
        self.env["TRAINSPOT_HOME"] = str(folder / "home")
        (folder / "toy.yaml").write_text(yaml.safe_dump(_campaign()))
        (folder / "question.py").write_text(QUESTION)
        bulk("Al", cubic=True).repeat((2, 1, 1)).write(folder / "al.cif")
        self.setup()
        self.verdi("config", "unset", "caching.enabled_for")
        self.verdi("daemon", "stop")  # workers read the configuration when they start
        self.start()

    def call(self, *command: str, **env: str) -> str:
        done = subprocess.run(
            [str(HERE / command[0]), *command[1:]],
            cwd=self.folder,
            env=self.env | env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
        return done.stdout

    def verdi(self, *command: str) -> str:
        return self.call("verdi", "-p", "trainspot", *command, AIIDA_PATH=str(self.folder / "home"))

    def setup(self) -> None:
        self.call("trainspot", "setup", "--no-install", "--workers", "2")

    def start(self) -> None:
        """The daemon alone, as setup starts it: setup looks for programs too, which takes long."""
        code = (
            "from aiida_trainspot.runtime.profile import load\n"
            "profile = load()\n"
            "from aiida_trainspot.runtime import daemon\n"
            "daemon.start(profile, 2)\n"
        )
        self.call("python", "-c", code)

    def run(self) -> int:
        return int(json.loads(self.call("trainspot", "run", "toy.yaml", "--json"))["pk"])

    def files(self, pattern: str) -> list[Path]:
        return sorted((self.folder / "home" / ".aiida").glob(pattern))

    def ask(self, query: str) -> list[Any]:
        (database,) = self.files("repository/*/database.sqlite")
        with closing(sqlite3.connect(database, timeout=60)) as file:
            return file.execute(query).fetchall()

    def state(self, pk: int) -> str:
        ((found,),) = self.ask(
            f"select json_extract(attributes, '$.process_state') from db_dbnode where id = {pk}"
        )
        return str(found)

    def open(self, node_type: str) -> int:
        """Number of processes of a type that have not ended, without functions."""
        ((count,),) = self.ask(
            "select count(*) from db_dbnode where json_extract(attributes, '$.process_state') in"
            f" ('created', 'waiting', 'running') and node_type like '{node_type}'"
            " and node_type not like '%calcfunction%'"
        )
        return int(count)

    def processes(self) -> list[psutil.Process]:
        """Everything that was started for this profile."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("AIIDA_PATH", "").startswith(str(self.folder)):
                    found.append(process)
        return found

    def kill(self, which: Callable[[list[str]], bool]) -> None:
        victims = [p for p in self.processes() if which(p.cmdline())]
        assert victims
        for victim in victims:
            with suppress(psutil.NoSuchProcess):
                victim.kill()
        psutil.wait_procs(victims, timeout=60)


def disturb(profile: Profile, kind: str) -> None:
    if kind == "stop":
        profile.verdi("daemon", "stop")
    elif kind in ("power", "reboot"):
        profile.kill(lambda _: True)
        if kind == "reboot":
            other = str(os.getpid())
            for file in (*profile.files("daemon/*.pid"), *profile.files("broker/*/broker.pid")):
                file.write_text(file.read_text().replace(file.read_text().split()[-1], other))
    else:
        word = {"supervisor": "start-circus", "broker": "broker", "workers": "worker"}[kind]
        profile.kill(lambda command: word in command)


def one(profile: Profile, kind: str, moment: float) -> dict[str, Any]:
    """A campaign that is disturbed after so many seconds, or not at all."""
    pk, began = profile.run(), time.monotonic()
    lost = at_stake = 0
    if kind:
        time.sleep(moment)
        disturb(profile, kind)
        lost = profile.open("process.%") - len(profile.files("broker/*/storage/tasks/*/*.json"))
        at_stake = profile.open("%.calcjob.%") if kind in ("power", "reboot") else 0
        if kind not in ("broker", "workers"):  # a campaign must see to these alone
            profile.start()
    while profile.state(pk) not in DONE:
        if time.monotonic() - began > PATIENCE:
            break
        time.sleep(1)
    seconds = time.monotonic() - began
    found = json.loads(profile.verdi("run", "question.py", str(pk)).splitlines()[-1])
    more = {"kind": kind, "moment": moment, "lost": lost, "at_stake": at_stake}
    return found | more | {"seconds": round(seconds, 1)}


def is_well(disturbed: dict[str, Any], calm: dict[str, Any]) -> bool:
    """Whether a campaign ended as an undisturbed one, and lost no job but to a power cut."""
    same = all(disturbed[key] == calm[key] for key in SAME)
    return same and not disturbed["open"] and disturbed["killed"] <= disturbed["at_stake"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kinds", default="stop,power,reboot,supervisor,broker,workers")
    parser.add_argument("--moments", type=int, default=20, help="tries of each kind")
    parser.add_argument("--at", help="these moments, s, instead of random ones")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    rng = random.Random(given.seed)
    profile = Profile(given.folder)
    wrong = 0
    try:
        calm = one(profile, "", 0.0)
        wrong += not is_well(calm, calm)
        sys.stdout.write(json.dumps(calm | {"labelled": len(calm["labelled"]), "final": 0}) + "\n")
        for kind in given.kinds.split(","):
            chosen = [float(m) for m in given.at.split(",")] if given.at else None
            random_ones = [round(rng.uniform(0, calm["seconds"]), 2) for _ in range(given.moments)]
            for moment in chosen or random_ones:
                found = one(profile, kind, moment)
                well = is_well(found, calm)
                wrong += not well
                row = found | {"labelled": len(found["labelled"]), "well": well}
                del row["final"]
                sys.stdout.write(json.dumps(row) + "\n")
                sys.stdout.flush()
    finally:
        profile.verdi("daemon", "stop")
        left = psutil.wait_procs(profile.processes(), timeout=30)[1]
        sys.stdout.write(json.dumps({"wrong": wrong, "left": [p.cmdline() for p in left]}) + "\n")
        for process in left:
            process.kill()
    shutil.rmtree(given.folder, ignore_errors=True)
    return 1 if wrong or left else 0


if __name__ == "__main__":
    sys.exit(main())
