"""``TrainingWorkChain``: trains a committee, some members at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.common.exceptions import EntryPointError
from aiida.engine import ExitCode, WorkChain, append_, while_
from aiida.orm import Dict, Int, SinglefileData, Str
from aiida.plugins import WorkflowFactory

from aiida_trainspot import exit_codes
from aiida_trainspot.data.pes import PESData
from aiida_trainspot.functions.train import collect_metrics, half_batch
from aiida_trainspot.workflows.jobs import job_ports, max_concurrent_port, why
from aiida_trainspot.workflows.once import decide_once, submit_once
from trainspot.common.errors import InputError, TrainingError
from trainspot.train.bagging import Bag, bags
from trainspot.train.base import MIN_COMMITTEE, member_seeds, training_sets
from trainspot.train.run import check_differ, trainer, twin_warning, twins

if TYPE_CHECKING:
    from aiida.engine.processes.workchains.workchain import WorkChainSpec


def _engine(name: str) -> Any:
    return WorkflowFactory(f"trainspot.train.{name}")


def _check(inputs: Any, _: Any) -> str | None:
    """Refuse unknown engines and unknown settings before anything is computed."""
    try:
        workchain = _engine(inputs["engine"].value)
    except (KeyError, EntryPointError) as error:
        return str(error)
    ports = workchain.spec().inputs
    complaint: str | None = ports["settings"].validate(inputs["settings"])
    if complaint is not None:
        return str(complaint)
    if "bagging" in inputs and inputs["bagging"].get_dict().keys() != {"share", "seed"}:
        return "bagging needs 'share' and 'seed', and nothing else"
    try:
        bagged = bool(_bags(inputs))
    except InputError as error:
        return str(error)
    if bagged and "bag" not in ports:
        return f"{workchain.__name__} has no input 'bag'; train without bagging, or add the input"
    return None


def _bags(inputs: Any) -> list[Bag]:
    """The bag of each member, from the inputs of the stage."""
    if "bagging" not in inputs:
        return []
    bagging = inputs["bagging"].get_dict()
    return bags(bagging["share"], inputs["committee"].value, bagging["seed"])


class TrainingWorkChain(WorkChain):
    """Train a committee with the same frames and settings, and one derived seed for each member.

    If a member runs out of memory, all members are trained again with half the batch: members with
    different batches would disagree for the wrong reason.
    """

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Ports and outline."""
        super().define(spec)
        spec.input("engine", valid_type=Str, help="Name under `trainspot.train`.")
        spec.input("dataset", valid_type=PESData, help="Frames with splits.")
        job_ports(spec)  # the engine, which another port names, checks the settings
        max_concurrent_port(spec)
        spec.input(
            "seed",
            valid_type=Int,
            default=lambda: Int(0),
            help="Seeds of the members follow from it.",
        )
        spec.input("committee", valid_type=Int, default=lambda: Int(4), help="Number of members.")
        spec.input(
            "bagging",
            valid_type=Dict,
            required=False,
            help="`share` of the training frames that each member leaves out, and `seed` of the "
            "draw; see `trainspot.train.bagging`. By default nothing is left out.",
        )
        spec.input_namespace(
            "start",
            valid_type=SinglefileData,
            required=False,
            dynamic=True,
            help="Start model of each member, with keys `member_0`, …",
        )
        spec.inputs.validator = _check
        spec.outline(
            cls.setup,
            while_(cls.should_run_members)(cls.run_members, cls.inspect_members),
            cls.results,
        )
        helps = {
            "models": "The trained model of each member, with keys `member_0`, …",
            "checkpoints": "The checkpoint of each member that has one, with the same keys.",
        }
        for name, text in helps.items():
            spec.output_namespace(name, valid_type=SinglefileData, dynamic=True, help=text)
        spec.output("metrics", valid_type=Dict, help="Metrics of each member.")
        exit_codes.declare(
            spec,
            exit_codes.NO_LABELLED_FRAMES,
            exit_codes.COMMITTEE_TOO_SMALL,
            exit_codes.SUB_PROCESS_FAILED_TRAIN,
        )

    def setup(self) -> ExitCode | None:
        """Refuse inputs that cannot give a committee, then derive the seeds."""
        committee = self.inputs.committee.value
        if committee < MIN_COMMITTEE:
            return exit_codes.COMMITTEE_TOO_SMALL.because(f"{committee} asked for")
        try:
            with self.inputs.dataset.opened() as dataset:
                training_sets(dataset)
        except InputError as error:
            return exit_codes.NO_LABELLED_FRAMES.because(str(error))
        self.ctx.seeds = member_seeds(self.inputs.seed.value, committee)
        self.ctx.bags = [bag.to_dict() for bag in _bags(self.inputs)]
        self.ctx.members = []
        self.ctx.settings = self.inputs.settings
        self.ctx.halved = 0
        return None

    def should_run_members(self) -> bool:
        """Whether members are left to train."""
        return len(self.ctx.members) < len(self.ctx.seeds)

    def run_members(self) -> None:
        """Start the next members, at most ``max_concurrent``."""
        first = len(self.ctx.members)
        last = first + self.inputs.max_concurrent.value
        shared = {name: self.inputs[name] for name in ("dataset", "code", "options")}
        shared["settings"] = self.ctx.get("settings", self.inputs.settings)
        halved = self.ctx.get("halved", 0)
        bags = self.ctx.get("bags", [])  # a checkpoint of an earlier version has none
        for member, seed in list(enumerate(self.ctx.seeds))[first:last]:
            key = f"member_{member}"
            inputs = {**shared, "seed": Int(seed)}
            if key in self.inputs.get("start", {}):
                inputs["start"] = self.inputs.start[key]
            if bags:
                inputs["bag"] = Dict(bags[member])
            label = f"{key}_halved_{halved}" if halved else key
            child = submit_once(self, label, _engine(self.inputs.engine.value), **inputs)
            self.to_context(members=append_(child))

    def inspect_members(self) -> ExitCode | None:
        """Stop at the first failure; after lack of memory, start again with half the batch."""
        failed = {m: node for m, node in enumerate(self.ctx.members) if not node.is_finished_ok}
        if not failed:
            return None
        short = [m for m, n in failed.items() if n.exit_status == exit_codes.OUT_OF_MEMORY.status]
        if len(short) == len(failed) and self._halve(short[0]):
            return None
        self._attach()
        member, node = min(failed.items())
        reason = f"member_{member}, {why(node)} <{node.pk}>"
        return exit_codes.SUB_PROCESS_FAILED_TRAIN.because(reason)

    def _halve(self, member: int) -> bool:
        """Start again with half the batch, unless the batch cannot be halved."""
        settings = self.ctx.get("settings", self.inputs.settings)
        engine = self.inputs.engine.value
        if trainer(engine).with_half_batch(settings.get_dict()) is None:
            return False
        halved = self.ctx.get("halved", 0) + 1
        self.ctx.settings = decide_once(
            self, f"half_batch_{halved}", half_batch, engine=Str(engine), settings=settings
        )
        self.ctx.halved = halved
        self.ctx.members = []
        self.report(f"member_{member} ran out of memory: all members again with half the batch")
        return True

    def _attach(self) -> None:
        """Attach the trained members."""
        for member, node in enumerate(self.ctx.members):
            if node.is_finished_ok:
                self.out(f"models.member_{member}", node.outputs.model)
                if "checkpoint" in node.outputs:
                    self.out(f"checkpoints.member_{member}", node.outputs.checkpoint)

    def results(self) -> ExitCode | None:
        """Attach the committee and gather the metrics."""
        self._attach()
        hashes = [node.outputs.model.base.repository.hash() for node in self.ctx.members]
        try:
            check_differ(hashes)
        except TrainingError as error:
            return exit_codes.COMMITTEE_TOO_SMALL.because(str(error))
        for member, twin in twins(hashes).items():
            self.report(f"member_{member}: {twin_warning(twin)}")
        metrics = {f"member_{i}": node.outputs.metrics for i, node in enumerate(self.ctx.members)}
        collected = decide_once(self, "metrics", collect_metrics, **metrics)
        self.out("metrics", collected)
        return None
