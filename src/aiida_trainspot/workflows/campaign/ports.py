"""The inputs and outputs of a campaign: the ports of ``TrainsPotWorkChain``."""

from __future__ import annotations

from typing import Final

from aiida.engine.processes.workchains.workchain import WorkChainSpec
from aiida.orm import AbstractCode, Dict, SinglefileData

from aiida_trainspot import exit_codes
from aiida_trainspot.data.pes import PESData
from trainspot.judge.verdict import State

ENDINGS: Final[dict[str, exit_codes.Exit | None]] = {
    State.CONVERGED: None,
    State.EXHAUSTED: exit_codes.MAX_ITERATIONS,
    State.POOL_EXHAUSTED: exit_codes.POOL_EXHAUSTED,
    State.NO_VALID_EXPLORATION: exit_codes.NO_VALID_EXPLORATION,
    "budget": exit_codes.BUDGET_SPENT,
}
"""Exit code of each final state of a campaign (``None``: success)."""

STAGES: Final = ("label", "train", "explore", "evaluate")


def define_ports(spec: WorkChainSpec) -> None:
    """Declare inputs, outputs and exit codes."""
    _define_inputs(spec)
    _define_outputs(spec)
    exit_codes.declare(
        spec,
        exit_codes.NO_FRAMES,
        exit_codes.TOO_MANY_FAILED_LABELS,
        exit_codes.NO_VALID_EXPLORATION,
        exit_codes.MAX_ITERATIONS,
        exit_codes.BUDGET_SPENT,
        exit_codes.POOL_EXHAUSTED,
        exit_codes.SUB_PROCESS_FAILED_AUGMENT,
        exit_codes.SUB_PROCESS_FAILED_LABEL,
        exit_codes.SUB_PROCESS_FAILED_TRAIN,
        exit_codes.SUB_PROCESS_FAILED_EXPLORE,
        exit_codes.SUB_PROCESS_FAILED_EVALUATE,
    )


def _define_inputs(spec: WorkChainSpec) -> None:
    spec.input("dataset", valid_type=PESData, help="Input structures or labelled frames.")
    spec.input("config", valid_type=Dict, help="The resolved campaign file.")
    spec.input(
        "foundation",
        valid_type=SinglefileData,
        required=False,
        help="The model from which trainings start, with `start: foundation`.",
    )
    spec.input_namespace(
        "pools",
        valid_type=PESData,
        dynamic=True,
        required=False,
        help="The frames of each stage whose engine works on a file of frames.",
    )
    spec.input_namespace("codes", help="The program of each stage.")
    spec.input_namespace("options", help="`metadata.options` of each stage's jobs.")
    for stage in STAGES:
        spec.input(
            f"codes.{stage}", valid_type=AbstractCode, help=f"The program of the stage `{stage}`."
        )
        spec.input(
            f"options.{stage}",
            valid_type=Dict,
            default=lambda: Dict({}),
            help=f"`metadata.options` of the jobs of the stage `{stage}`.",
        )
    spec.input(
        "max_concurrent",
        valid_type=Dict,
        default=lambda: Dict({}),
        help="Jobs at the same time by stage, if the campaign has `auto`.",
    )


def _define_outputs(spec: WorkChainSpec) -> None:
    spec.output("dataset", valid_type=PESData, help="All frames; the last chosen may lack labels.")
    spec.output(
        "failures", valid_type=PESData, required=False, help="Frames that could not be labelled."
    )
    spec.output("calibration", valid_type=Dict, required=False, help="Calibration of these models.")
    helps = {
        "models": "The committee judged last; without any judgement, the committee trained last.",
        "lammps_models": "The models for `trainspot-lmp`: the same files.",
        "checkpoints": "The checkpoints from which trainings can be continued.",
        "predictions": "Predictions of each iteration's committee for the final test frames; of "
        "the last committee for all labelled frames. A committee evaluates each frame once.",
    }
    for name, text in helps.items():
        spec.output_namespace(name, valid_type=SinglefileData, dynamic=True, help=text)
    spec.output_namespace(
        "iterations", valid_type=Dict, dynamic=True, help="Figures of each iteration."
    )
    spec.output_namespace(
        "pairs", valid_type=Dict, dynamic=True, help="Calibration pairs of each iteration."
    )
