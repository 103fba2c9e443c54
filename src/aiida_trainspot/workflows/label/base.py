"""The ports that every label engine has, and how an engine is found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from aiida.common.exceptions import EntryPointError
from aiida.engine import WorkChain
from aiida.orm import AbstractCode, Dict, Int
from aiida.plugins import WorkflowFactory
from aiida.plugins.entry_point import get_entry_point_names

from aiida_trainspot import exit_codes
from aiida_trainspot.data.pes import PESData
from trainspot.errors import TrainspotError, UnknownNameError
from trainspot.label import base

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiida.engine import ExitCode
    from aiida.engine.processes.workchains.workchain import WorkChainSpec
    from aiida.orm import ProcessNode

PREFIX = "trainspot.label."
NOT_CACHED = {"disable_cache": True}
"""Metadata of our calcfunctions: AiiDA hashes only the wrapper, not the science it calls."""


class LabelEngineWorkChain(WorkChain):
    """Base of the engines: frames in; labelled and failed frames out.

    A frame that cannot be labelled is an output, not an error of the workchain.
    """

    engine: ClassVar[str]
    """Name in the group ``trainspot.label`` of the science package."""

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """The ports of the seam."""
        super().define(spec)
        spec.input("dataset", valid_type=PESData, help="Frames; all of them are labelled.")
        spec.input("code", valid_type=AbstractCode, help="The program.")
        spec.input("settings", valid_type=Dict, validator=cls.validate_settings)
        spec.input(
            "options", valid_type=Dict, default=lambda: Dict({}), help="metadata.options of jobs."
        )
        spec.input(
            "max_concurrent",
            valid_type=Int,
            default=lambda: Int(1),
            validator=lambda node, _: None if node.value > 0 else "must be at least 1",
            help="Frames in work at the same time.",
        )
        spec.output("labelled", valid_type=PESData, help="Frames with labels.")
        spec.output("failures", valid_type=PESData, help="Frames without, each with the reason.")
        exit_codes.declare(spec, exit_codes.SUB_PROCESS_FAILED_LABEL)

    @classmethod
    def validate_settings(cls, node: Dict, _: Any) -> str | None:
        """Say what is wrong with the settings before anything runs."""
        try:
            base.parse_settings(base.engine(cls.engine).Settings, node.get_dict())
        except TrainspotError as error:
            return str(error)
        return None

    @classmethod
    def resolve(cls, settings: Mapping[str, Any], species: list[str]) -> dict[str, Any]:
        """Settings with what depends on the elements of the *whole* dataset filled in.

        Raises:
            InputError: It cannot be done; nothing has been spent.
        """
        del species
        return dict(settings)

    @property
    def parsed(self) -> Any:
        """The settings as the engine's model."""
        return base.parse_settings(
            base.engine(self.engine).Settings, self.inputs.settings.get_dict()
        )

    def finish(self, gathered: Mapping[str, PESData]) -> None:
        """Attach what a ``gather_…`` calcfunction returned."""
        self.out("labelled", gathered["labelled"])
        self.out("failures", gathered["failures"])


def engine_workchain(name: str) -> type[LabelEngineWorkChain]:
    """The workchain of a label engine.

    Raises:
        UnknownNameError: Nothing is registered under ``trainspot.label.<name>``.
    """
    try:
        found: type[LabelEngineWorkChain] = WorkflowFactory(PREFIX + name)
    except EntryPointError as error:
        names = get_entry_point_names("aiida.workflows")
        known = [n.removeprefix(PREFIX) for n in names if n.startswith(PREFIX)]
        if name in known:
            raise
        raise UnknownNameError("label engine", name, known) from error
    return found


def why(child: ProcessNode) -> tuple[int | None, str]:
    """Exit status and one line about a process that did not succeed."""
    if child.is_finished:
        return child.exit_status, f"{child.process_label} {child.exit_status}: {child.exit_message}"
    state = child.process_state.value if child.process_state else "unknown"
    return None, f"{child.process_label} was {state}"


def sub_process_failed(child: ProcessNode) -> ExitCode:
    """Exit code for a child without which nothing goes on."""
    return exit_codes.SUB_PROCESS_FAILED_LABEL.because(f"{why(child)[1]} <{child.pk}>")
