"""``DatasetAugmentationWorkChain``: from a few structures to a diverse dataset with splits."""

from __future__ import annotations

from typing import Any

from aiida.engine import ExitCode, WorkChain
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from aiida.orm import Dict, Float, Int, List, to_aiida_type

from aiida_trainspot import exit_codes
from aiida_trainspot.data.pes import PESData
from aiida_trainspot.functions import augment as functions
from aiida_trainspot.workflows.once import decide_once
from trainspot.augment.plan import DEFAULT_PLAN, check_inputs, parse_plan
from trainspot.augment.steps import VACUUM, changes_inputs, sources_of
from trainspot.common.errors import InputError
from trainspot.data.dataset import Dataset
from trainspot.split import FRACTIONS, assign


class DatasetAugmentationWorkChain(WorkChain):
    """Apply augmentation strategies to input structures and split the frames.

    Each strategy is a separate calcfunction; the frames are the same as with ``trainspot augment``.
    """

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Ports and outline."""
        super().define(spec)
        spec.input("dataset", valid_type=PESData, help="The input structures.")
        spec.input(
            "plan",
            valid_type=List,
            serializer=to_aiida_type,
            default=lambda: List(DEFAULT_PLAN),
            validator=_valid_plan,
            help="Strategies in order, each a dictionary with `kind` and its parameters.",
        )
        spec.input(
            "vacuum",
            valid_type=Float,
            serializer=to_aiida_type,
            default=lambda: Float(VACUUM),
            validator=_valid_vacuum,
            help="Least vacuum along every non-periodic direction, Å.",
        )
        spec.input(
            "fractions",
            valid_type=List,
            serializer=to_aiida_type,
            default=lambda: List(list(FRACTIONS)),
            validator=_valid_fractions,
            help="Shares of the training, validation and test splits.",
        )
        spec.input(
            "seed",
            valid_type=Int,
            serializer=to_aiida_type,
            default=lambda: Int(0),
            help="Seed of all random numbers.",
        )
        spec.outline(cls.pad, cls.run_steps, cls.merge)
        spec.output("dataset", valid_type=PESData, help="The augmented dataset with splits.")
        spec.output(
            "report",
            valid_type=Dict,
            help="Numbers of frames made, and of frames refused by reason.",
        )
        exit_codes.declare(spec, exit_codes.NO_FRAMES)

    def pad(self) -> ExitCode | None:
        """Refuse unusable input structures, and add vacuum to the others if necessary."""
        self.ctx.given = self.inputs.dataset
        inputs = self.inputs.dataset.dataset
        try:
            check_inputs(inputs)
        except InputError as error:
            return exit_codes.NO_FRAMES.because(str(error))
        if changes_inputs(inputs, self.inputs.vacuum.value):
            self.ctx.given = decide_once(
                self,
                "inputs",
                functions.pad_inputs,
                dataset=self.inputs.dataset,
                vacuum=self.inputs.vacuum,
            )
        return None

    def run_steps(self) -> None:
        """Run the strategies, beginning with those that prepare frames for others."""
        steps = functions.steps_of(self.inputs.plan)
        parts: dict[str, PESData] = {}
        for step in steps:
            if functions.is_passed_on(step, self.ctx.given):
                parts[step.label] = self.ctx.given
                continue
            parents = {label: parts[label] for label in sources_of(step, steps)}
            parts[step.label] = decide_once(
                self,
                step.label,
                functions.run_step,
                plan=self.inputs.plan,
                place=Int(step.place),
                seed=self.inputs.seed,
                vacuum=self.inputs.vacuum,
                **(parents or {"inputs": self.ctx.given}),
            )
        self.ctx.parts = parts

    def merge(self) -> ExitCode | None:
        """Merge the frames of all strategies and assign splits."""
        merged = decide_once(
            self,
            "merge",
            functions.merge_steps,
            inputs=self.ctx.given,
            plan=self.inputs.plan,
            fractions=self.inputs.fractions,
            seed=self.inputs.seed,
            **self.ctx.parts,
        )
        self.out("report", merged["report"])
        if not len(merged["dataset"]):
            return exit_codes.NO_FRAMES.because("no strategy made a frame; see the output 'report'")
        self.out("dataset", merged["dataset"])
        return None


def _valid_plan(node: List, _: Any) -> str | None:
    try:
        parse_plan(node.get_list())
    except InputError as error:
        return str(error)
    return None


def _valid_vacuum(node: Float, _: Any) -> str | None:
    return None if 0 <= node.value < float("inf") else f"a vacuum of {node.value} Å"


def _valid_fractions(node: List, _: Any) -> str | None:
    try:
        assign(Dataset.from_frames([]), node.get_list())
    except InputError as error:
        return str(error)
    return None
