"""Fresh profiles with a daemon and a toy campaign, used through command lines only."""

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

HERE = Path(sys.executable).parent
PATIENCE = 1500  # s; how long a campaign may take on a busy machine

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
        paths = [str(hook), *filter(None, [self.env.get("PYTHONPATH")])]
        self.env |= {"PYTHONPATH": os.pathsep.join(paths), "SABOTAGE": str(left)}

    def install(self, package: Path) -> None:
        """Install a package of its own where only this home finds it."""
        site, copy = self.folder / "site", self.folder / "copy"
        shutil.copytree(package, copy)  # pip builds in the folder itself
        pip = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation")
        self.call("python", *pip, "--disable-pip-version-check", "--target", str(site), str(copy))
        paths = [str(site), *filter(None, [self.env.get("PYTHONPATH")])]
        self.env["PYTHONPATH"] = os.pathsep.join(paths)
        self.env["PATH"] = os.pathsep.join([str(site / "bin"), self.env["PATH"]])

    def processes(self) -> list[psutil.Process]:
        """Everything that was started for this home."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("AIIDA_PATH", "").startswith(str(self.folder)):
                    found.append(process)
        return found

    def workers(self) -> list[psutil.Process]:
        found = []
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                if process.cmdline()[-2:] == ["daemon", "worker"]:
                    found.append(process)
        return found

    def answers(self) -> dict:
        question = self.folder / "question.py"
        question.write_text(QUESTION)
        return json.loads(self.verdi("run", str(question)).splitlines()[-1])


@pytest.fixture
def home(tmp_path_factory, toy_campaign):
    """Makes fresh homes with a toy campaign; their daemons are stopped at the end."""
    made = []

    def make(
        name: str, moments: tuple[str, ...] = (), package: Path | None = None, **changes
    ) -> Home:
        home = Home(tmp_path_factory.mktemp(name))
        made.append(home)
        if package:
            home.install(package)
        if moments:
            home.sabotage(moments)
        home.call("trainspot", "setup", "--no-install", "--workers", "1")
        content = toy_campaign | {"stop": {"max_iterations": 2}} | changes
        content["label"] = {**content["label"], "frames_per_job": 4}
        (home.folder / "toy.yaml").write_text(yaml.safe_dump(content))
        bulk("Al", cubic=True).repeat((2, 1, 1)).write(home.folder / "al.cif")
        home.call("trainspot", "run", "toy.yaml")
        return home

    yield make
    for home in made:
        home.verdi("daemon", "stop")
        shutil.rmtree(home.folder, ignore_errors=True)
