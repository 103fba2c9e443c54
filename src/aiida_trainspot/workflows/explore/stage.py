"""``ExplorationWorkChain``: draw a schedule, and run it with an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.common.exceptions import EntryPointError
from aiida.engine import ExitCode, WorkChain
from aiida.orm import Dict, Int, SinglefileData, Str
from aiida.plugins import WorkflowFactory

from aiida_trainspot import exit_codes
from aiida_trainspot.data.pes import PESData
from aiida_trainspot.functions.explore import schedule
from aiida_trainspot.workflows.jobs import job_ports, max_concurrent_port, why
from aiida_trainspot.workflows.once import decide_once, submit_once
from trainspot.common.errors import TrainspotError
from trainspot.common.validation import parse_settings
from trainspot.explore.schedule import Plan

if TYPE_CHECKING:
    from aiida.engine.processes.workchains.workchain import WorkChainSpec

PREFIX = "trainspot.explore."
PASSED_ON = ("model", "kind", "code", "settings", "options", "max_concurrent")


class ExplorationWorkChain(WorkChain):
    """Molecular dynamics with one member, from initial frames."""

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Ports and outline."""
        super().define(spec)
        spec.input("engine", valid_type=Str, help="Name under `trainspot.explore`.")
        spec.input("initial", valid_type=PESData, help="Possible start frames of the runs.")
        spec.input(
            "plan",
            valid_type=Dict,
            default=lambda: Dict({}),
            validator=_valid_plan,
            help="How many runs, and at which conditions.",
        )
        spec.input(
            "seed", valid_type=Int, default=lambda: Int(0), help="Seed of all random numbers."
        )
        spec.input(
            "iteration", valid_type=Int, default=lambda: Int(0), help="Number of the iteration."
        )
        spec.input("model", valid_type=SinglefileData, help="The member that drives the runs.")
        spec.input("kind", valid_type=Str, help="Kind of the model.")
        job_ports(spec)  # the engine, which another port names, checks the settings
        max_concurrent_port(spec)
        spec.inputs.validator = _check
        spec.outline(cls.draw_schedule, cls.run_engine, cls.inspect_engine)
        spec.output("explored", valid_type=PESData, help="Kept frames, unlabelled.")
        spec.output("failures", valid_type=PESData, help="Start frames of runs that failed.")
        spec.output("schedule", valid_type=Dict, help="The runs.")
        spec.output("starts", valid_type=PESData, help="Start frames of the runs.")
        exit_codes.declare(spec, exit_codes.NO_FRAMES, exit_codes.SUB_PROCESS_FAILED_EXPLORE)

    def draw_schedule(self) -> ExitCode | None:
        """Draw the runs."""
        try:
            inputs = {name: self.inputs[name] for name in ("initial", "plan", "seed", "iteration")}
            drawn = decide_once(self, "schedule", schedule, **inputs)
        except TrainspotError as error:
            return exit_codes.NO_FRAMES.because(str(error))
        self.ctx.drawn = drawn
        self.out("schedule", drawn["schedule"])
        self.out("starts", drawn["starts"])
        return None

    def run_engine(self) -> None:
        """Submit the engine."""
        inputs = {name: self.inputs[name] for name in PASSED_ON}
        engine = WorkflowFactory(PREFIX + self.inputs.engine.value)
        self.to_context(engine=submit_once(self, "engine", engine, **inputs, **self.ctx.drawn))

    def inspect_engine(self) -> ExitCode | None:
        """Attach the results of the engine."""
        engine = self.ctx.engine
        for name in ("explored", "failures"):
            if name in engine.outputs:
                self.out(name, engine.outputs[name])
        if not engine.is_finished_ok:
            return exit_codes.SUB_PROCESS_FAILED_EXPLORE.because(f"{why(engine)} <{engine.pk}>")
        return None


def _valid_plan(node: Dict, _: Any) -> str | None:
    try:
        parse_settings(Plan, node.get_dict())
    except TrainspotError as error:
        return str(error)
    return None


def _check(inputs: Any, _: Any) -> str | None:
    """Refuse unknown engines and unknown settings before anything is computed."""
    try:
        engine = WorkflowFactory(PREFIX + inputs["engine"].value)
    except (KeyError, EntryPointError) as error:
        return str(error)
    complaint = engine.spec().inputs["settings"].validate(inputs["settings"])
    return None if complaint is None else str(complaint)
