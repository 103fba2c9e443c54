"""Base of the CalcJobs of all trainers: a program trains one committee member."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from aiida.orm import Dict, Int, SinglefileData

from aiida_trainspot.calculations.base import Job, TrainspotCalculation
from aiida_trainspot.data.pes import PESData
from trainspot.common.errors import InputError
from trainspot.common.processes import HUGE_PAGES, environment
from trainspot.common.validation import parse_settings
from trainspot.train.bagging import Bag
from trainspot.train.run import trainer

if TYPE_CHECKING:
    from aiida.engine.processes.process_spec import CalcJobProcessSpec, ProcessSpec

    from trainspot.train.base import Trainer


def bag_port(spec: ProcessSpec) -> None:
    """Declare ``bag``. Without bagging there is no node, and hashes are those of before."""
    spec.input(
        "bag",
        valid_type=Dict,
        required=False,
        help="The training frames that the member leaves out; see `trainspot.train.bagging.Bag`.",
    )


class TrainCalculation(TrainspotCalculation):
    """Base of the trainers' CalcJobs: subclasses name their engine in ``TRAINER``."""

    TRAINER: ClassVar[str]

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Ports."""
        super().define(spec)
        spec.input("dataset", valid_type=PESData, help="Frames with splits; `test` is not touched.")
        spec.input(
            "settings",
            valid_type=Dict,
            default=lambda: Dict({}),
            validator=cls.check_settings,
            help="Hyper-parameters of the engine.",
        )
        spec.input("seed", valid_type=Int, help="The member's seed, in [0, 2**31).")
        spec.input("start", valid_type=SinglefileData, required=False, help="Model to start from.")
        bag_port(spec)
        spec.input(
            "checkpoint",
            valid_type=SinglefileData,
            required=False,
            help="Checkpoint of the same member, whose training is continued.",
        )
        spec.output("model", valid_type=SinglefileData, help="The trained model.")
        spec.output(
            "checkpoint",
            valid_type=SinglefileData,
            required=False,
            help="File from which the training can be continued.",
        )
        spec.output("metrics", valid_type=Dict, help="`epochs`, a list, and `warnings`.")
        options = spec.inputs["metadata"]["options"]
        options["parser_name"].default = "trainspot.train"
        # One thread by default: members that train at the same time share the cores.
        options["environment_variables"].default = lambda: environment(threads=1) | HUGE_PAGES

    @classmethod
    def trainer(cls) -> type[Trainer]:
        """The trainer of the science package, see ``trainspot.train.base.Trainer``."""
        return trainer(cls.TRAINER)

    @classmethod
    def check_settings(cls, value: Dict, _: Any) -> str | None:
        """Refuse settings that the engine does not know, before anything is submitted."""
        try:
            parse_settings(cls.trainer().Settings, value.get_dict(), where="train.settings")
        except InputError as error:
            return str(error)
        return None

    def write(self, directory: Path) -> Job:
        """Let the trainer write its input files."""
        trainer = self.trainer()
        settings = trainer.Settings(**self.inputs.settings.get_dict())
        with ExitStack() as stack:
            files = {
                name: stack.enter_context(self.inputs[name].as_path())
                for name in ("start", "checkpoint")
                if name in self.inputs
            }
            dataset = self.inputs.dataset.dataset
            if "bag" in self.inputs:
                dataset = Bag.from_dict(self.inputs.bag.get_dict()).of(dataset)
            trainer.write_inputs(
                directory,
                dataset,
                settings,
                self.inputs.seed.value,
                **{name: Path(path) for name, path in files.items()},
            )
        retrieve = [(name, ".", 2) if "/" in name else name for name in trainer.outputs(settings)]
        return Job(trainer.arguments(settings), retrieve)
