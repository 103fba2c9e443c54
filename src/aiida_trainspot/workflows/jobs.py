"""Ports, restarts and messages that all work chains with jobs share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from aiida.engine import (
    BaseRestartWorkChain,
    CalcJob,
    ProcessHandlerReport,
    process_handler,
    while_,
)
from aiida.orm import AbstractCode, CalcJobNode, Dict, Int

from aiida_trainspot import exit_codes
from aiida_trainspot.workflows.once import SubmitsOnce
from trainspot.common.processes import environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiida.engine.processes.workchains.workchain import WorkChainSpec
    from aiida.orm import ProcessNode


def job_ports(
    spec: WorkChainSpec, validate_settings: Callable[..., str | None] | None = None
) -> None:
    """Declare ``code``, ``settings`` and ``options``.

    Args:
        spec: The specification of the work chain.
        validate_settings: Returns what is wrong with the settings before anything runs.
    """
    spec.input("code", valid_type=AbstractCode, help="The engine's program.")
    spec.input(
        "settings",
        valid_type=Dict,
        default=lambda: Dict({}),
        validator=validate_settings,
        help="Settings of the engine.",
    )
    spec.input(
        "options",
        valid_type=Dict,
        default=lambda: Dict({}),
        help="`metadata.options` of the jobs: resources, max_wallclock_seconds, …",
    )


def max_concurrent_port(spec: WorkChainSpec) -> None:
    """Declare ``max_concurrent``."""
    spec.input(
        "max_concurrent",
        valid_type=Int,
        default=lambda: Int(1),
        validator=lambda node, _: None if node.value > 0 else "must be at least 1",
        help="Jobs at the same time.",
    )


def with_threads(options: dict[str, Any], **variables: str) -> dict[str, Any]:
    """Job options with as many threads of the program as requested cores.

    Args:
        options: The requested options; their environment variables are kept.
        variables: More environment variables, used if the options do not set them.
    """
    cores = str(options.get("resources", {}).get("num_cores_per_mpiproc", 1))
    variables = environment(cores) | variables | options.get("environment_variables", {})
    return options | {"environment_variables": variables}


AGAIN: Final = "_again"
"""Suffix of the label of a job that replaces a job that was cut off."""

_CUT_OFF: Final = (
    exit_codes.KILLED.status,
    CalcJob.exit_codes.ERROR_SCHEDULER_NODE_FAILURE.status,
)


def why(process: ProcessNode) -> str:
    """One line with the reason why a process did not succeed."""
    name = process.process_label
    if process.is_finished:
        return f"{name} {process.exit_status}: {process.exit_message}"
    return f"{name} was {process.process_state.value if process.process_state else 'not started'}"


def was_cut_off(job: ProcessNode | None) -> bool:
    """Whether an external event, such as a power cut or a node failure, killed a job."""
    return isinstance(job, CalcJobNode) and job.exit_status in _CUT_OFF


class RestartWorkChain(SubmitsOnce, BaseRestartWorkChain):
    """A job and its restarts, each submitted once; ends at a failure that would repeat."""

    HOPELESS: ClassVar[tuple[int, ...]] = tuple(
        code.status
        for code in (
            exit_codes.OUTPUT_MISSING,
            exit_codes.OUTPUT_UNREADABLE,
            exit_codes.TRAINING_DIVERGED,
        )
    )
    """Exit statuses of jobs that fail in the same way when they are repeated."""

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Outline, and the exit codes of the job that this work chain returns."""
        super().define(spec)
        spec.outline(
            cls.setup,
            while_(cls.should_run_process)(cls.run_process, cls.inspect_process),
            cls.results,
        )
        exit_codes.declare(
            spec,
            exit_codes.OUTPUT_MISSING,
            exit_codes.OUTPUT_UNREADABLE,
            exit_codes.OUT_OF_WALLTIME,
        )

    @process_handler(priority=300)
    def give_up(self, calculation: CalcJobNode) -> ProcessHandlerReport | None:
        """Return the exit code of a job that would fail in the same way again."""
        if calculation.exit_status in self.HOPELESS:
            return ProcessHandlerReport(True, calculation.exit_code)
        return None
