"""Workers killed with -9 at the worst moments: nothing lost, nothing twice, same choice."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml
from ase.build import bulk

pytestmark = [pytest.mark.engine, pytest.mark.slow]

HERE = Path(sys.executable).parent
PATIENCE = 1500  # s; how long a campaign may take on a busy machine

MOMENTS = (  # see saboteur.py
    "stored-DatasetAugmentationWorkChain",
    "deciding-merge_steps",
    "unqueued-AseLabelCalculation",
    "queued-ToyTrainWorkChain",
    "unqueued-ToyTrainCalculation",
    "stored-EvaluationCalculation",
    "deciding-judge",
)

# Run by ``verdi run`` inside the profile: what was labelled, how often, and what was chosen.
QUESTION = """
import json
from aiida.orm import CalcFunctionNode, CalcJobNode, ProcessNode, QueryBuilder
from aiida_trainspot.workflows.once import is_replaced
everything = QueryBuilder().append(ProcessNode).all(flat=True)
jobs = QueryBuilder().append(
    CalcJobNode, filters={"attributes.process_label": "AseLabelCalculation"}
).all(flat=True)
jobs = [job for job in jobs if not is_replaced(job)]
members = [n for n in everything if n.process_label == "ToyTrainWorkChain" and not is_replaced(n)]
judges = QueryBuilder().append(
    CalcFunctionNode, filters={"attributes.process_label": "judge"}, tag="j"
).order_by({"j": "id"}).all(flat=True)
judges = [j for j in judges if not is_replaced(j)]
print(json.dumps({
    "labelled": [i for job in jobs for i in job.inputs.dataset.dataset.ids],
    "from_cache": [job.base.caching.is_created_from_cache for job in jobs],
    "replaced": sum(map(is_replaced, everything)),
    "never_ended": [n.pk for n in everything if not n.is_terminated],
    "failed": [n.pk for n in jobs + members if not n.is_finished_ok],
    "members": len(members),
    "concurrent": max(sum(o.ctime <= m.ctime < o.mtime for o in members) for m in members),
    "may_be_concurrent": members[0].caller.inputs.max_concurrent.value,
    "chosen": [[j.outputs.judgement["selected"], j.outputs.judgement["audit"]] for j in judges],
}))
"""


class Home:
    """A fresh profile with its daemon, used through the command line only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {k: v for k, v in os.environ.items() if k != "AIIDA_PATH"}
        self.env["TRAINSPOT_HOME"] = str(folder / "home")

    def call(self, *command: str, env: dict[str, str] | None = None) -> str:
        done = subprocess.run(
            [str(HERE / command[0]), *command[1:]],
            cwd=self.folder,
            env=self.env | (env or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def verdi(self, *command: str) -> str:
        return self.call(
            "verdi", "-p", "trainspot", *command, env={"AIIDA_PATH": str(self.folder / "home")}
        )

    def status(self) -> dict:
        return json.loads(self.call("trainspot", "status", "toy", "--json"))

    def until(self, reached) -> dict:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            status = self.status()
            if reached(status):
                return status
            time.sleep(0.5)  # another program's progress: there is nothing to wait on
        pytest.fail(f"not reached within {PATIENCE} s: {status}")

    def sabotage(self, moments: tuple[str, ...]) -> None:
        """Have the workers that will be started killed at these moments, each once."""
        hook, left = self.folder / "hook", self.folder / "moments"
        hook.mkdir()
        left.mkdir()
        for moment in moments:
            (left / moment).touch()
        shutil.copy(Path(__file__).with_name("saboteur.py"), hook)
        (hook / "sitecustomize.py").write_text(
            "import sys\n"
            'if sys.orig_argv[-2:] == ["daemon", "worker"]:\n'
            "    from saboteur import sabotage\n"
            "    sabotage()\n"
        )
        self.env |= {"PYTHONPATH": str(hook), "SABOTAGE": str(left)}

    def workers(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter(["cmdline"]):
            command = " ".join(process.info["cmdline"] or [])
            with contextlib.suppress(psutil.Error):
                mine = process.environ().get("AIIDA_PATH", "").startswith(str(self.folder))
                if mine and command.endswith("daemon worker"):
                    found.append(process)
        return found


@pytest.fixture
def home(tmp_path_factory, toy_campaign):
    """Makes fresh homes with a toy campaign; their daemons are stopped at the end."""
    made = []

    def make(name: str, moments: tuple[str, ...] = ()) -> Home:
        home = Home(tmp_path_factory.mktemp(name))
        made.append(home)
        if moments:
            home.sabotage(moments)
        home.call("trainspot", "setup", "--no-install", "--workers", "1")
        content = toy_campaign | {"stop": {"max_iterations": 2}}
        content["label"] = {**content["label"], "frames_per_job": 4}
        (home.folder / "toy.yaml").write_text(yaml.safe_dump(content))
        bulk("Al", cubic=True).repeat((2, 1, 1)).write(home.folder / "al.cif")
        home.call("trainspot", "run", "toy.yaml")
        return home

    yield make
    for home in made:
        home.verdi("daemon", "stop")
        shutil.rmtree(home.folder, ignore_errors=True)


def finished(status: dict) -> bool:
    return status["state"] not in ("created", "waiting", "running")


def test_killed_workers_lose_nothing_and_change_nothing(home):
    hurt = home("hurt", MOMENTS)
    hurt.until(lambda s: s["stage"] == "label" and "AseLabel" in hurt.verdi("process", "list"))
    victims = hurt.workers()
    assert victims
    for process in victims:
        process.kill()
    ended = hurt.until(finished)
    calm = home("calm")
    reference = calm.until(finished)
    assert ended["exit"]["label"] == reference["exit"]["label"] == "max_iterations"

    question = hurt.folder / "question.py"
    question.write_text(QUESTION)
    answers = [json.loads(h.verdi("run", str(question)).splitlines()[-1]) for h in (hurt, calm)]
    for answer in answers:
        assert len(answer["labelled"]) == len(set(answer["labelled"]))
        assert not any(answer["from_cache"])
        assert answer["never_ended"] == answer["failed"] == []
        assert answer["concurrent"] <= answer["may_be_concurrent"]
    assert list((hurt.folder / "moments").iterdir()) == []  # all of them came
    # Each left the process it struck, but for the child whose task was sent: a worker may have
    # taken that up before the repeated step looked. The calm campaign left none.
    assert answers[0]["replaced"] >= sum(not moment.startswith("queued") for moment in MOMENTS)
    assert answers[1]["replaced"] == 0
    assert answers[0]["members"] == answers[1]["members"]
    assert answers[0]["chosen"] == answers[1]["chosen"]
    assert sum(map(len, answers[0]["chosen"][0])) > 0
    assert sorted(answers[0]["labelled"]) == sorted(answers[1]["labelled"])
    totals = [r["labelled_total"] for r in ended["iterations"]]
    assert totals == [r["labelled_total"] for r in reference["iterations"]]
