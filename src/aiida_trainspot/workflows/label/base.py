"""The ports of all label engines, the look-up of an engine, and the labels of failed engines."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from aiida.common.exceptions import EntryPointError
from aiida.engine import WorkChain, append_
from aiida.orm import Dict
from aiida.plugins import WorkflowFactory
from aiida.plugins.entry_point import get_entry_point_names

from aiida_trainspot import exit_codes
from aiida_trainspot.data.pes import PESData
from aiida_trainspot.functions.label import PART_LABELS
from aiida_trainspot.workflows.jobs import job_ports, max_concurrent_port, why
from aiida_trainspot.workflows.label.gather import directly, gather_all
from aiida_trainspot.workflows.once import children, decide_once, strays
from aiida_trainspot.workflows.preflight import Foresees
from trainspot.common.errors import TrainspotError, UnknownNameError
from trainspot.common.validation import parse_settings
from trainspot.data.dataset import Dataset
from trainspot.data.failure import Failure
from trainspot.label import base

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aiida.engine import ExitCode
    from aiida.engine.processes.workchains.workchain import WorkChainSpec
    from aiida.orm import ProcessNode

    from aiida_trainspot.workflows.label.gather import Run

PREFIX = "trainspot.label."


class LabelEngineWorkChain(Foresees, WorkChain):
    """Base of the label engines: frames in; labelled and failed frames out.

    A frame that cannot be labelled is an output, not an error of the workchain.
    """

    engine: ClassVar[str]
    """Name in the group ``trainspot.label`` of the science package."""

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """The ports that the stage expects."""
        super().define(spec)
        spec.input("dataset", valid_type=PESData, help="Frames to label.")
        spec.input(
            "pool",
            valid_type=PESData,
            required=False,
            help="The frames of the file that the engine needs, if it declares `pool_setting`.",
        )
        job_ports(spec, cls.validate_settings)
        max_concurrent_port(spec)
        spec.output("labelled", valid_type=PESData, help="Frames with labels.")
        spec.output(
            "failures", valid_type=PESData, help="Frames without labels, each with the reason."
        )
        exit_codes.declare(spec, exit_codes.SUB_PROCESS_FAILED_LABEL)

    @classmethod
    def validate_settings(cls, node: Dict, _: Any) -> str | None:
        """Say what is wrong with the settings before anything runs."""
        try:
            parse_settings(base.engine(cls.engine).Settings, node.get_dict())
        except TrainspotError as error:
            return str(error)
        return None

    @classmethod
    def resolve(cls, settings: Mapping[str, Any], species: list[str]) -> dict[str, Any]:
        """Settings with values that depend on the elements of the *whole* dataset filled in.

        Raises:
            InputError: The values cannot be determined; nothing has been computed.
        """
        del species
        return dict(settings)

    @property
    def parsed(self) -> Any:
        """The settings as the engine's model."""
        return parse_settings(base.engine(self.engine).Settings, self.inputs.settings.get_dict())

    @classmethod
    def left_by(cls, run: Run, key: str, process: ProcessNode) -> dict[str, PESData]:
        """The results of a process of this engine, which may have failed.

        Args:
            run: Calls a calcfunction; see ``decide_once`` and ``directly``.
            key: Key of the process, unique in the parent.
            process: A work chain of this engine, or one of its parts.

        Returns:
            Labelled and failed frames, under any names.
        """
        outputs = process.outputs
        if "labelled" in outputs:
            return {f"labelled_{key}": outputs.labelled, f"failures_{key}": outputs.failures}
        parts: dict[str, PESData] = {}
        for name, part in sorted(children(process, PART_LABELS).items()):
            parts |= cls.left_by(run, f"{key}_{name}", part)
        return parts

    @classmethod
    def labelled_in(cls, process: ProcessNode) -> Dataset:
        """The frames that a process of this engine has labelled so far; it may run or have failed.

        Nothing is stored.
        """
        left = cls.left_by(directly, "so_far", process)
        return Dataset.concatenate(
            [node.dataset for name, node in sorted(left.items()) if name.startswith("labelled")]
        )

    @classmethod
    def labelled_alone(cls, process: ProcessNode) -> set[str]:
        """Ids of the frames that a process without datasets in its outputs has labelled.

        For engines that label each frame with a separate process.
        """
        del process
        return set()

    def await_strays(self) -> None:
        """Wait for the running children of parts that have failed."""
        parts = children(self.node, PART_LABELS).values()
        wait_for_strays(self, [part for part in parts if not part.is_finished_ok])

    def results(self) -> ExitCode | None:
        """Gather the results of the parts; frames without a result go to ``failures``."""
        parts = children(self.node, PART_LABELS)
        gathered = rescued(self, type(self), self.inputs.dataset, parts)
        succeeded = any(part.is_finished_ok for part in parts.values())
        if parts and not succeeded and not len(gathered["labelled"]):
            return sub_process_failed(parts[min(parts)])
        self.finish(gathered)
        return None

    def finish(self, gathered: Mapping[str, PESData]) -> None:
        """Attach labelled frames and failures."""
        self.out("labelled", gathered["labelled"])
        self.out("failures", gathered["failures"])


def wait_for_strays(workchain: WorkChain, dead: Iterable[ProcessNode]) -> None:
    """Wait, under ``ctx.strays``, for the running children of children that have failed."""
    for process in dead:
        for stray in strays(process):
            workchain.report(f"waiting for children of {process.process_label}<{process.pk}>")
            workchain.to_context(strays=append_(stray))


def rescued(
    rescuer: WorkChain,
    engine: type[LabelEngineWorkChain],
    dataset: PESData,
    parts: Mapping[str, ProcessNode],
) -> dict[str, PESData]:
    """Labels and failures of all frames from processes that may have failed.

    Args:
        rescuer: The work chain that gathers the results, in one of its steps.
        engine: The engine.
        dataset: The frames of all parts.
        parts: Processes by name, each with the input ``dataset``.
    """
    results: dict[str, PESData] = {}
    lost: dict[str, Any] = {}
    run = partial(decide_once, rescuer)
    for key, part in sorted(parts.items()):
        results |= engine.left_by(run, key, part)
        if not part.is_finished_ok:
            rescuer.report(f"{why(part)} <{part.pk}>; its finished labels are kept")
            failure = Failure(why(part), part.exit_status).to_dict()
            lost |= dict.fromkeys(part.inputs.dataset.dataset.ids, failure)
    return gather_all(run, "gather", dataset, Dict(lost), results)


def engine_workchain(name: str) -> type[LabelEngineWorkChain]:
    """The workchain of a label engine.

    Raises:
        UnknownNameError: No workchain is registered under ``trainspot.label.<name>``.
    """
    try:
        workchain: type[LabelEngineWorkChain] = WorkflowFactory(PREFIX + name)
    except EntryPointError as error:
        names = get_entry_point_names("aiida.workflows")
        engines = [n.removeprefix(PREFIX) for n in names if n.startswith(PREFIX)]
        if name in engines:
            raise
        raise UnknownNameError("label engine", name, engines) from error
    return workchain


def sub_process_failed(child: ProcessNode) -> ExitCode:
    """Exit code for the failure of a necessary child."""
    return exit_codes.SUB_PROCESS_FAILED_LABEL.because(f"{why(child)} <{child.pk}>")
