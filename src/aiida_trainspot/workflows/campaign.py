"""``TrainsPotWorkChain``: augment → label → train → explore → evaluate → judge, until converged."""

from __future__ import annotations

from typing import Any

from aiida.engine import ExitCode, ProcessBuilder, WorkChain, if_, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from aiida.orm import Bool, Dict, Float, Int, List, ProcessNode, SinglefileData, Str
from aiida.plugins import CalculationFactory, WorkflowFactory

from aiida_trainspot import exit_codes
from aiida_trainspot.data.pes import PESData
from aiida_trainspot.exit_codes import Exit
from aiida_trainspot.functions import iteration as decisions
from aiida_trainspot.functions.augment import assign_sets
from aiida_trainspot.workflows.campaign_ports import ENDINGS, define_ports
from aiida_trainspot.workflows.once import submit_once
from trainspot import plugins
from trainspot.config.models import Campaign
from trainspot.judge.iteration import NO_PAIRS
from trainspot.judge.verdict import State
from trainspot.seeds import derive_seed


class TrainsPotWorkChain(WorkChain):
    """An active-learning campaign.

    ``should_…`` ask what is missing (frames, labels, a committee, an exploration), so any starting
    point needs no flag. Every decision is a calcfunction; every ending attaches what there is.
    """

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Ports and outline."""
        super().define(spec)
        define_ports(spec)
        spec.outline(
            cls.setup,
            if_(cls.should_augment)(cls.run_augment, cls.inspect_augment),
            while_(cls.should_continue)(
                if_(cls.should_label)(cls.run_label, cls.inspect_label),
                if_(cls.should_train)(cls.run_train, cls.inspect_train),
                if_(cls.should_explore)(cls.run_explore, cls.inspect_explore),
                if_(cls.should_evaluate)(cls.run_evaluate, cls.inspect_evaluate, cls.judge),
            ),
            while_(cls.should_compare)(cls.run_compare, cls.inspect_compare),
            cls.results,
        )

    @classmethod
    def get_builder_from_protocol(cls, *args: Any, **kwargs: Any) -> ProcessBuilder:
        """A builder for a campaign file or mapping; see ``aiida_trainspot.builder``."""
        from aiida_trainspot.builder import get_builder

        return get_builder(*args, **kwargs)

    # ── what we know ──────────────────────────────────────────────────────────
    @property
    def campaign(self) -> Campaign:
        """The validated campaign."""
        return decisions.campaign_of(self.inputs.config)

    @property
    def iteration(self) -> int:
        """Number of the iteration that is going on; the first is 1."""
        return int(self.ctx.judged) + 1

    @property
    def model_kind(self) -> str:
        """Kind of the models that the trainer makes."""
        trainer = plugins.load("trainspot.train", self.campaign.train.engine)
        return str(trainer.model_kind)

    def setup(self) -> None:
        """Start from the given frames."""
        self.ctx.dataset = self.inputs.dataset
        self.ctx.state = State.CONTINUE.value
        self.ctx.exit = None
        self.ctx.judged = 0
        self.ctx.compared = 0
        self.ctx.trained = 0
        self.ctx.explored_in = 0
        self.ctx.new_labels = [0, 0]

    def should_continue(self) -> bool:
        """Whether another turn is due."""
        return self.ctx.state in (State.CONTINUE.value, State.AUDIT.value)

    def _fail(self, code: Exit, node: ProcessNode) -> None:
        """End the loop, keeping what there is; ``results`` returns the exit code."""
        state = node.process_state.value if node.process_state else "unknown"
        reason = node.exit_message or state
        self.ctx.state = "failed"
        self.ctx.exit = [code.label, f"{node.process_label}<{node.pk}>: {reason}"]
        self.report(f"{code.message}: {self.ctx.exit[1]}")

    def _engine(self, stage: str) -> dict[str, Any]:
        """The inputs every engine stage shares."""
        section = getattr(self.campaign, stage)
        jobs = section.max_concurrent
        if jobs == "auto":
            jobs = self.inputs.max_concurrent.get_dict().get(stage, 1)
        return {
            "engine": Str(section.engine),
            "code": self.inputs.codes[stage],
            "settings": Dict(section.settings.model_dump(mode="json")),
            "options": self.inputs.options[stage],
            "max_concurrent": Int(jobs),
        }

    def _submit(self, stage: str, entry_point: str, **inputs: Any) -> None:
        """Submit a stage, once even if a worker dies, and wait for it as ``ctx.<stage>``."""
        process = WorkflowFactory(entry_point)
        self.to_context(**{stage: submit_once(self, self._label(stage), process, **inputs)})

    def _label(self, stage: str) -> str:
        return f"iteration_{self.iteration}_{stage}"

    # ── augment ───────────────────────────────────────────────────────────────
    def should_augment(self) -> bool:
        """Whether strategies are asked for, or frames have no set yet."""
        with self.inputs.dataset.opened() as dataset:
            complete = bool((dataset.column("split") > 0).all())
        return bool(self.campaign.augment) or not complete

    def run_augment(self) -> None:
        """Make frames and give each its set."""
        campaign = self.campaign
        process = WorkflowFactory("trainspot.augment")
        child = submit_once(
            self,
            "augment",
            process,
            dataset=self.inputs.dataset,
            plan=List(list(campaign.augment or ())),
            fractions=List(list(campaign.split.fractions)),
            seed=Int(campaign.seed),
            vacuum=Float(15.0),
        )
        self.to_context(augment=child)

    def inspect_augment(self) -> None:
        """Take the augmented set."""
        if self.ctx.augment.is_finished_ok:
            self.ctx.dataset = self.ctx.augment.outputs.dataset
        else:
            self._fail(exit_codes.SUB_PROCESS_FAILED_AUGMENT, self.ctx.augment)

    # ── label ─────────────────────────────────────────────────────────────────
    def should_label(self) -> bool:
        """Whether a frame has no label."""
        return self.ctx.dataset.n_labelled < len(self.ctx.dataset)

    def run_label(self) -> None:
        """Label what has no labels."""
        share = Float(self.campaign.label.min_success)
        inputs = self._engine("label") | {"dataset": self.ctx.dataset, "min_success": share}
        self._submit("label", "trainspot.label", **inputs)

    def inspect_label(self) -> None:
        """Take the labels, remember the failures, and score the judgement that asked for them."""
        stage = self.ctx.label
        if "labelled" in stage.outputs:
            before = self.ctx.dataset.n_labelled
            self.ctx.dataset = self._with_sets(stage.outputs.labelled)
            new, failures = self.ctx.dataset.n_labelled - before, stage.outputs.failures
            self.ctx.new_labels = [new, len(failures)]
            if len(failures) and "failed" in self.ctx:
                self.ctx.failed = decisions.add_failed(self.ctx.failed, failures)
            elif "failed" not in self.ctx:
                self.ctx.failed = failures
        if not stage.is_finished_ok:
            known = exit_codes.TOO_MANY_FAILED_LABELS
            failed = stage.exit_status == known.status
            self._fail(known if failed else exit_codes.SUB_PROCESS_FAILED_LABEL, stage)
        elif self.ctx.judged:
            self._score()

    def _with_sets(self, dataset: PESData) -> PESData:
        campaign = self.campaign
        fractions, seed = List(list(campaign.split.fractions)), Int(campaign.seed)
        return assign_sets(dataset, fractions, seed)

    def _score(self) -> None:
        """Compare the last judgement with its labels; a final audit may end the campaign."""
        n = self.ctx.judged
        scored = decisions.score(
            self.ctx.dataset,
            self.ctx[f"predictions_{n}"],
            self.ctx[f"calibration_{n}"],
            self.ctx.judgement,
            self._audit_pairs(),
            self.inputs.config,
            Int(n),
        )
        self.ctx[f"score_{n}"] = scored["score"]
        self.ctx.audit_pairs = scored["audit_pairs"]
        conclusion = scored["score"]["conclusion"]
        if conclusion is not None:
            self.report(f"final audit: {scored['score']['misses']} misses, {conclusion}")
            self.ctx.state = conclusion

    def _audit_pairs(self) -> Dict:
        if "audit_pairs" not in self.ctx:
            self.ctx.audit_pairs = Dict(NO_PAIRS.to_dict()).store()
        return self.ctx.audit_pairs

    # ── train ─────────────────────────────────────────────────────────────────
    def should_train(self) -> bool:
        """Whether this iteration has no committee yet."""
        return self.should_continue() and self.ctx.trained < self.iteration

    def run_train(self) -> None:
        """Train the committee."""
        section = self.campaign.train
        seed = derive_seed(self.campaign.seed, "train", self.iteration)
        frames = self.ctx.dataset
        if section.mix_theories:
            frames = decisions.training_set(frames)
        inputs = self._engine("train") | {
            "dataset": frames,
            "seed": Int(seed),
            "committee": Int(section.committee),
        }
        if section.start == "previous" and self.ctx.trained:
            inputs["start"] = self._models(self.ctx.trained)
        elif section.start == "foundation":
            members = range(section.committee)
            inputs["start"] = {f"member_{j}": self.inputs.foundation for j in members}
        self._submit("train", "trainspot.train", **inputs)

    def inspect_train(self) -> None:
        """Take the committee."""
        if not self.ctx.train.is_finished_ok:
            self._fail(exit_codes.SUB_PROCESS_FAILED_TRAIN, self.ctx.train)
            return
        self.ctx.trained = self.iteration
        self.ctx[f"committee_{self.iteration}"] = self.ctx.train

    def _models(self, iteration: int) -> dict[str, SinglefileData]:
        models = self.ctx[f"committee_{iteration}"].outputs.models
        return {key: models[key] for key in sorted(models)}

    # ── explore ───────────────────────────────────────────────────────────────
    def should_explore(self) -> bool:
        """Whether this iteration has not explored yet."""
        return self.should_continue() and self.ctx.explored_in < self.iteration

    def run_explore(self) -> None:
        """Run molecular dynamics with one member, drawn by seed."""
        models = self._models(self.ctx.trained)
        member = decisions.draw_member(self.inputs.config, Int(self.iteration), Int(len(models)))
        inputs = self._engine("explore") | {
            "initial": decisions.initial(self.ctx.dataset),
            "plan": Dict(self.campaign.explore.plan.model_dump(mode="json")),
            "seed": Int(self.campaign.seed),
            "iteration": Int(self.iteration),
            "model": models[f"member_{member.value}"],
            "kind": Str(self.model_kind),
        }
        self._submit("explore", "trainspot.explore", **inputs)

    def inspect_explore(self) -> None:
        """Take the explored frames."""
        if not self.ctx.explore.is_finished_ok:
            self._fail(exit_codes.SUB_PROCESS_FAILED_EXPLORE, self.ctx.explore)
            return
        self.ctx.explored_in = self.iteration

    # ── evaluate ──────────────────────────────────────────────────────────────
    def should_evaluate(self) -> bool:
        """Whether there is a committee and an exploration to judge."""
        return self.should_continue()

    def run_evaluate(self) -> None:
        """Let the whole committee predict held-out and explored frames."""
        frames = decisions.evaluation_set(self.ctx.dataset, self.ctx.explore.outputs.explored)
        self._evaluate(frames, self.iteration, self._label("evaluate"), "evaluate")

    def _evaluate(self, frames: PESData, iteration: int, label: str, key: str) -> None:
        options = self.inputs.options.evaluate.get_dict()
        child = submit_once(
            self,
            label,
            CalculationFactory("trainspot.evaluate"),
            dataset=frames,
            models=self._models(iteration),
            kind=Str(self.model_kind),
            settings=Dict(self.campaign.evaluate.settings.model_dump(mode="json")),
            code=self.inputs.codes.evaluate,
            metadata={"options": options},
        )
        self.to_context(**{key: child})

    def inspect_evaluate(self) -> None:
        """Take the predictions."""
        if not self.ctx.evaluate.is_finished_ok:
            self._fail(exit_codes.SUB_PROCESS_FAILED_EVALUATE, self.ctx.evaluate)
            return
        self.ctx[f"predictions_{self.iteration}"] = self.ctx.evaluate.outputs.predictions

    # ── judge ─────────────────────────────────────────────────────────────────
    def judge(self) -> None:
        """Calibrate, flag, select, and say what follows."""
        if not self.should_continue():
            return
        n, stage = self.iteration, self.campaign.label
        explored = self.ctx.explore.outputs
        work = {
            "n": n,
            "labelled": self.ctx.new_labels[0],
            "label_failures": self.ctx.new_labels[1],
            "exploration_failures": len(explored.failures),
            "reference": {"engine": stage.engine, "code": self.inputs.codes.label.full_label},
        }
        if "failed" not in self.ctx:
            self.ctx.failed = PESData().store()
        predictions = self.ctx[f"predictions_{n}"]
        fitted = decisions.calibrate(
            self.ctx.dataset, predictions, self._audit_pairs(), self.inputs.config
        )
        decided = decisions.judge(
            self.ctx.dataset,
            explored.explored,
            explored.starts,
            predictions,
            fitted["calibration"],
            self.ctx.failed,
            self.inputs.config,
            Dict(work),
        )
        self.ctx.dataset = decided["dataset"]
        self.ctx.judgement = decided["judgement"]
        self.ctx[f"record_{n}"] = decided["record"]
        for key in ("pairs", "calibration"):
            self.ctx[f"{key}_{n}"] = fitted[key]
        found = decided["judgement"].get_dict()
        self.ctx.state = "budget" if found["budget_spent"] else found["verdict"]
        self.ctx.judged = n
        self.ctx.new_labels = [0, 0]
        self.report(
            f"iteration {n}: {found['explored']} explored, {len(found['flagged'])} flagged, "
            f"{len(found['selected'])} selected, {len(found['audit'])} audit: {self.ctx.state}"
        )

    # ── results ───────────────────────────────────────────────────────────────
    def should_compare(self) -> bool:
        """Whether a committee has not met the final test frames yet."""
        return bool(self.ctx.compared < self.ctx.judged and self.ctx.dataset.n_labelled > 0)

    def run_compare(self) -> None:
        """Let a committee predict the final test frames; the last one all labelled frames."""
        n = self.ctx.compared + 1
        last = Bool(n == self.ctx.judged)
        frames = decisions.comparison_set(self.ctx.dataset, last)
        self.ctx.compare = None
        if len(frames):
            self._evaluate(frames, n, f"compare_{n}", "compare")

    def inspect_compare(self) -> None:
        """Complete the record of the iteration."""
        n = self.ctx.compared = self.ctx.compared + 1
        self.out(f"pairs.iteration_{n}", self.ctx[f"pairs_{n}"])
        if self.ctx.compare is None or not self.ctx.compare.is_finished_ok:
            self.report(f"committee {n} was not compared on the final test frames")
            self.out(f"iterations.iteration_{n}", self.ctx[f"record_{n}"])
            return
        predictions = self.ctx.compare.outputs.predictions
        score = {"score": self.ctx[f"score_{n}"]} if f"score_{n}" in self.ctx else {}
        record = decisions.finish_record(
            self.ctx[f"record_{n}"], self.ctx.dataset, predictions, **score
        )
        self.out(f"iterations.iteration_{n}", record)
        self.out(f"predictions.iteration_{n}", predictions)

    def results(self) -> ExitCode | None:
        """Attach everything there is, on every ending."""
        self.out("dataset", self.ctx.dataset)
        if "failed" in self.ctx and len(self.ctx.failed):
            self.out("failures", self.ctx.failed)
        if self.ctx.trained:
            outputs = self.ctx[f"committee_{self.ctx.trained}"].outputs
            for key in sorted(outputs.models):
                self.out(f"models.{key}", outputs.models[key])
                self.out(f"lammps_models.{key}", outputs.models[key])
            for key in sorted(outputs.checkpoints) if "checkpoints" in outputs else ():
                self.out(f"checkpoints.{key}", outputs.checkpoints[key])
        if self.ctx.judged:
            self.out("calibration", self.ctx[f"calibration_{self.ctx.judged}"])
        if self.ctx.exit is not None:
            label, reason = self.ctx.exit
            return getattr(exit_codes, label.removeprefix("ERROR_")).because(reason)
        ending = ENDINGS[self.ctx.state]
        self.report(f"finished: {self.ctx.state}")
        return None if ending is None else ending.because()
