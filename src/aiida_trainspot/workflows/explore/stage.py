"""``ExplorationWorkChain``: draw a schedule, and run it with an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.common.exceptions import EntryPointError
from aiida.engine import ExitCode, WorkChain
from aiida.orm import Dict, Int, SinglefileData, Str
from aiida.plugins import WorkflowFactory

from aiida_trainspot import exit_codes
from aiida_trainspot.data.pes import PESData
from aiida_trainspot.functions.explore import draw, schedule
from aiida_trainspot.workflows.jobs import job_ports, max_concurrent_port, why
from aiida_trainspot.workflows.once import decide_once, submit_once
from trainspot.common.errors import TrainspotError
from trainspot.common.validation import parse_settings
from trainspot.explore.base import explorer
from trainspot.explore.schedule import Plan

if TYPE_CHECKING:
    from aiida.engine.processes.workchains.workchain import WorkChainSpec
    from pydantic import BaseModel

PREFIX = "trainspot.explore."
PASSED_ON = ("model", "kind", "code", "settings", "options", "max_concurrent")
_OF_POOL = {
    "pool": "All frames of the pool.",
    "dataset": "The dataset; its frames are not drawn again.",
    "failed": "Frames that could not be labelled; they are not drawn again.",
}


class ExplorationWorkChain(WorkChain):
    """Molecular dynamics with one member, from initial frames; or frames drawn from a pool."""

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Ports and outline."""
        super().define(spec)
        spec.input("engine", valid_type=Str, help="Name under `trainspot.explore`.")
        spec.input(
            "initial",
            valid_type=PESData,
            required=False,
            help="Possible start frames of the runs; needed for molecular dynamics.",
        )
        for name, text in _OF_POOL.items():
            spec.input(name, valid_type=PESData, required=False, help=f"{text} Only with a pool.")
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
        for name, kind, text in (
            ("model", SinglefileData, "The member that drives the runs"),
            ("kind", Str, "Kind of the model"),
        ):
            help_text = f"{text}; needed for molecular dynamics."
            spec.input(name, valid_type=kind, required=False, help=help_text)
        job_ports(spec)  # the engine, which another port names, checks the settings
        max_concurrent_port(spec)
        spec.inputs.validator = _check
        spec.outline(cls.draw_schedule, cls.run_engine, cls.inspect_engine)
        spec.output("explored", valid_type=PESData, help="Kept frames, unlabelled.")
        spec.output("failures", valid_type=PESData, help="Start frames of runs that failed.")
        spec.output("schedule", valid_type=Dict, help="The runs.")
        spec.output("starts", valid_type=PESData, help="Start frames of the runs.")
        exit_codes.declare(spec, exit_codes.NO_FRAMES, exit_codes.SUB_PROCESS_FAILED_EXPLORE)

    @property
    def _draws(self) -> bool:
        """Whether the engine draws frames from a pool: a decision, without any job."""
        return explorer(self.inputs.engine.value).draws_from_pool

    def draw_schedule(self) -> ExitCode | None:
        """Draw the runs, or frames from a pool."""
        if self._draws:
            names = ("engine", "settings", *_OF_POOL, "seed", "iteration")
            inputs = {name: self.inputs[name] for name in names}
            for name, node in decide_once(self, "draw", draw, **inputs).items():
                self.out(name, node)
            return None
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
        """Submit the engine, unless it draws from a pool."""
        if self._draws:
            return
        inputs = {name: self.inputs[name] for name in PASSED_ON}
        engine = WorkflowFactory(PREFIX + self.inputs.engine.value)
        self.to_context(engine=submit_once(self, "engine", engine, **inputs, **self.ctx.drawn))

    def inspect_engine(self) -> ExitCode | None:
        """Attach the results of the engine."""
        if self._draws:
            return None
        engine = self.ctx.engine
        for name in ("explored", "failures"):
            if name in engine.outputs:
                self.out(name, engine.outputs[name])
        if not engine.is_finished_ok:
            return exit_codes.SUB_PROCESS_FAILED_EXPLORE.because(f"{why(engine)} <{engine.pk}>")
        return None


def _valid_plan(node: Dict, _: Any) -> str | None:
    return _complaint(Plan, node)


def _complaint(model: type[BaseModel], node: Dict) -> str | None:
    try:
        parse_settings(model, node.get_dict())
    except TrainspotError as error:
        return str(error)
    return None


def _check(inputs: Any, _: Any) -> str | None:
    """Refuse unknown engines and unknown settings before anything is computed."""
    try:
        source = explorer(inputs["engine"].value)
    except TrainspotError as error:
        return str(error)
    needed = _OF_POOL if source.draws_from_pool else ("initial", "model", "kind")
    if missing := [name for name in needed if name not in inputs]:
        return f"engine '{source.name}' needs the input '{missing[0]}'"
    if source.draws_from_pool:
        return _complaint(source.Settings, inputs["settings"])
    try:
        engine = WorkflowFactory(PREFIX + inputs["engine"].value)
    except (KeyError, EntryPointError) as error:
        return str(error)
    complaint = engine.spec().inputs["settings"].validate(inputs["settings"])
    return None if complaint is None else str(complaint)
