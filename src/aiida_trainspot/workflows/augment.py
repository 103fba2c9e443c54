"""``DatasetAugmentationWorkChain``: from a few structures to a diverse set, each with its set."""

from __future__ import annotations

from aiida.engine import ExitCode, WorkChain
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from aiida.orm import Dict, Float, Int, List

from aiida_trainspot import exit_codes
from aiida_trainspot.data.pes import PESData
from aiida_trainspot.functions.augment import assign_sets, augment
from trainspot.augment.plan import DEFAULT_PLAN


class DatasetAugmentationWorkChain(WorkChain):
    """Run the augmentation strategies on input structures and split the result."""

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Ports and outline."""
        super().define(spec)
        spec.input("dataset", valid_type=PESData, help="The input structures.")
        spec.input(
            "plan",
            valid_type=List,
            default=lambda: List(DEFAULT_PLAN),
            help="Strategies in order, each a dictionary with `kind` and its parameters.",
        )
        spec.input("vacuum", valid_type=Float, default=lambda: Float(15.0), help="Å")
        spec.input(
            "fractions",
            valid_type=List,
            default=lambda: List([0.8, 0.1, 0.1]),
            help="Shares of the training, validation and test sets.",
        )
        spec.input("seed", valid_type=Int, default=lambda: Int(0))
        spec.outline(cls.run_augment, cls.run_split)
        spec.output("dataset", valid_type=PESData, help="The augmented set, split.")
        spec.output("report", valid_type=Dict, help="Frames made, and refused by reason.")
        exit_codes.declare(spec, exit_codes.NO_FRAMES)

    def run_augment(self) -> ExitCode | None:
        """Make the frames."""
        made = augment(
            self.inputs.dataset,
            self.inputs.plan,
            self.inputs.seed,
            self.inputs.vacuum,
        )
        self.out("report", made["report"])
        if not len(made["dataset"]):
            return exit_codes.NO_FRAMES.because("every frame was refused; see the output 'report'")
        self.ctx.augmented = made["dataset"]
        return None

    def run_split(self) -> None:
        """Give every frame a set."""
        split = assign_sets(
            self.ctx.augmented,
            self.inputs.fractions,
            self.inputs.seed,
        )
        self.out("dataset", split)
