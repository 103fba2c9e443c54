"""Base of all exploration engines: the ports, jobs in waves, and gathering at the end."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from aiida.engine import WorkChain, append_, while_
from aiida.orm import CalcJobNode, Dict, SinglefileData, Str

from aiida_trainspot import exit_codes
from aiida_trainspot.data.pes import PESData
from aiida_trainspot.functions.explore import explored_already, gather_exploration
from aiida_trainspot.workflows.jobs import (
    AGAIN,
    job_ports,
    max_concurrent_port,
    was_cut_off,
    why,
)
from aiida_trainspot.workflows.once import children, decide_once, submit_once
from aiida_trainspot.workflows.preflight import Foresees
from trainspot.common.errors import TrainspotError
from trainspot.common.validation import parse_settings
from trainspot.explore import schedule as scheduling
from trainspot.explore.base import explorer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiida.engine import ExitCode, Process
    from aiida.engine.processes.workchains.workchain import WorkChainSpec
    from aiida.orm import ProcessNode

    from trainspot.explore.schedule import Run

JOB_KEY = "job_{:04d}"
SHARED = ("starts", "model", "kind", "code", "settings")


class ExploreEngineWorkChain(Foresees, WorkChain):
    """Base of the engines: a schedule in; explored frames and failed runs out.

    A failed run is an output; the workchain fails only if no job returns any frames.
    """

    engine: ClassVar[str]
    """Name in the group ``trainspot.explore`` of the science package."""

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """The ports that the stage expects, and the outline."""
        super().define(spec)
        spec.input("starts", valid_type=PESData, help="Start frames of the runs.")
        spec.input("schedule", valid_type=Dict, validator=_valid_schedule, help="The runs.")
        spec.input("model", valid_type=SinglefileData, help="The member that drives the runs.")
        spec.input("kind", valid_type=Str, help="Kind of the model.")
        job_ports(spec, cls.validate_settings)
        max_concurrent_port(spec)
        spec.outline(cls.setup, while_(cls.should_run)(cls.run_jobs), cls.results)
        spec.output("explored", valid_type=PESData, help="Kept frames, unlabelled.")
        spec.output("failures", valid_type=PESData, help="Start frames of runs that failed.")
        exit_codes.declare(spec, exit_codes.SUB_PROCESS_FAILED_EXPLORE)

    @classmethod
    def validate_settings(cls, node: Dict, _: Any) -> str | None:
        """Say what is wrong with the settings before anything runs."""
        try:
            cls.parse(node)
        except TrainspotError as error:
            return str(error)
        return None

    @classmethod
    def parse(cls, settings: Dict) -> Any:
        """The settings as the engine's model."""
        return parse_settings(explorer(cls.engine).Settings, settings.get_dict())

    def groups(self, runs: list[Run]) -> list[list[Run]]:
        """Consecutive runs that share a job, whatever the number of jobs at the same time.

        So the jobs of an earlier campaign can come from the cache with any number of cores.
        """
        size = self.parse(self.inputs.settings).runs_per_job
        return [runs[first : first + size] for first in range(0, len(runs), size)]

    @abstractmethod
    def job(self, runs: list[Run]) -> tuple[type[Process], dict[str, Any]]:
        """The process for a group of runs, and its inputs."""

    def setup(self) -> None:
        """Divide the schedule into jobs."""
        runs = scheduling.parse(self.inputs.schedule.get_dict())
        self.ctx.groups = [[r.to_dict() for r in group] for group in self.groups(runs)]
        self.ctx.started = 0

    def should_run(self) -> bool:
        """Whether a job must be started, or repeated because it was cut off."""
        return bool(self.ctx.started < len(self.ctx.groups) or self._cut_off())

    def _cut_off(self) -> dict[str, CalcJobNode]:
        """Killed jobs that must be repeated, by their labels; each is repeated once."""
        jobs = children(self.node, "job_%")
        return {
            key: job
            for key, job in sorted(jobs.items())
            if isinstance(job, CalcJobNode) and was_cut_off(job)
            if f"{key}{AGAIN}" not in jobs and not key.endswith(AGAIN)
        }

    def run_jobs(self) -> None:
        """Start the next jobs, at most ``max_concurrent``, and wait for them."""
        if self.ctx.started == len(self.ctx.groups):
            for key, job in list(self._cut_off().items())[: self.inputs.max_concurrent.value]:
                self.report(f"{why(job)} <{job.pk}>; it is repeated")
                self._submit_job(int(key.removeprefix(JOB_KEY[:4])), f"{key}{AGAIN}")
            return
        first = self.ctx.started
        self.ctx.started = min(first + self.inputs.max_concurrent.value, len(self.ctx.groups))
        for number in range(first, self.ctx.started):
            self._submit_job(number, JOB_KEY.format(number))

    def _submit_job(self, number: int, label: str) -> None:
        runs = scheduling.parse({"runs": self.ctx.groups[number]})
        process, inputs = self.job(runs)
        self.to_context(jobs=append_(submit_once(self, label, process, **inputs)))

    def results(self) -> ExitCode | None:
        """Gather the results of all jobs, failed jobs too."""
        by_label = children(self.node, "job_%")
        jobs = [node for _, node in sorted(by_label.items())]
        repeated = {job.pk for key, job in by_label.items() if f"{key}{AGAIN}" in by_label}
        parts: dict[str, PESData] = {}
        for number, calculation in enumerate(c for job in jobs for c in _calculations(job)):
            for name in ("explored", "failures"):
                if name in calculation.outputs and (
                    name == "explored" or calculation.pk not in repeated
                ):
                    parts[f"{name}_{number:04d}"] = calculation.outputs[name]
        for job in jobs:
            if not job.is_finished_ok:
                self.report(f"{why(job)} <{job.pk}>")
        asked = {"starts": self.inputs.starts, "schedule": self.inputs.schedule}
        gathered = explored_already(**asked, parts=parts)
        if gathered is None:
            gathered = decide_once(self, "gather", gather_exploration, **asked, **parts)
        self.out("explored", gathered["explored"])
        self.out("failures", gathered["failures"])
        if not any(job.is_finished_ok for job in jobs) and not len(gathered["explored"]):
            return exit_codes.SUB_PROCESS_FAILED_EXPLORE.because("; ".join(map(why, jobs[:1])))
        return None


def _calculations(job: ProcessNode) -> Iterator[CalcJobNode]:
    """The calculations of a job in the order of their submission."""
    if isinstance(job, CalcJobNode):
        yield job
        return
    yield from sorted(
        (node for node in job.called_descendants if isinstance(node, CalcJobNode)),
        key=lambda node: node.pk,
    )


def _valid_schedule(node: Dict, _: Any) -> str | None:
    try:
        runs = scheduling.parse(node.get_dict())
    except TrainspotError as error:
        return str(error)
    return None if runs else "the schedule is empty"
