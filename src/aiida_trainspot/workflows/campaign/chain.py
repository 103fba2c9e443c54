"""``TrainsPotWorkChain``: augment → label → train → explore → evaluate → judge, until converged."""

from __future__ import annotations

from typing import Any

from aiida.engine import ExitCode, ProcessBuilder, if_, while_
from aiida.engine.processes.workchains.workchain import WorkChainSpec
from aiida.orm import Bool, Dict, Float, Int, List, Str
from aiida.plugins import WorkflowFactory

from aiida_trainspot import exit_codes
from aiida_trainspot.calculations import evaluate as evaluation
from aiida_trainspot.data.pes import PESData
from aiida_trainspot.functions import campaign as decisions
from aiida_trainspot.functions import explore as explorations
from aiida_trainspot.functions.evaluate import complete_predictions, frames_to_compare
from aiida_trainspot.functions.train import training_set
from aiida_trainspot.workflows.campaign.base import CampaignBase
from aiida_trainspot.workflows.campaign.ports import ENDINGS, define_ports
from aiida_trainspot.workflows.once import submit_once
from trainspot.campaign.decisions import NO_PAIRS, Score
from trainspot.campaign.record import PoolUse, Work
from trainspot.campaign.rules import reference_of
from trainspot.common.seeds import derive_seed
from trainspot.explore.frames import broken_off
from trainspot.judge.verdict import State


class TrainsPotWorkChain(CampaignBase):
    """An active-learning campaign.

    The steps ``should_…`` check what is missing (frames, labels, a committee, an exploration), so
    that every starting point works without a flag. Every decision is a calcfunction, and all
    results are attached at every ending.
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
                if_(cls.should_evaluate)(
                    cls.run_evaluate, cls.repeat_evaluate, cls.inspect_evaluate, cls.judge
                ),
            ),
            while_(cls.should_compare)(cls.run_compare, cls.repeat_compare, cls.inspect_compare),
            cls.results,
        )

    @classmethod
    def get_builder_from_protocol(cls, *args: Any, **kwargs: Any) -> ProcessBuilder:
        """A builder for a campaign file or mapping; see ``aiida_trainspot.launch.builder``."""
        from aiida_trainspot.launch.builder import get_builder

        return get_builder(*args, **kwargs)

    def setup(self) -> None:
        """Start with the input frames."""
        self.ctx.dataset = self.inputs.dataset
        self.ctx.chosen = None
        self.ctx.state = State.CONTINUE.value
        self.ctx.exit = None
        self.ctx.judged = 0
        self.ctx.compared = 0
        self.ctx.trained = 0
        self.ctx.explored_in = 0
        self.ctx.new_labels = [0, 0]
        self.ctx.failed = PESData().store()
        self.ctx.audit_pairs = Dict(NO_PAIRS.to_dict()).store()

    def should_continue(self) -> bool:
        """Whether another iteration or audit follows."""
        return self.ctx.state in (State.CONTINUE.value, State.AUDIT.value)

    # ── augment ───────────────────────────────────────────────────────────────
    def should_augment(self) -> bool:
        """Whether the campaign has strategies, or frames have no split yet."""
        with self.inputs.dataset.opened() as dataset:
            complete = bool((dataset.column("split") > 0).all())
        return bool(self.campaign.augment) or not complete

    def run_augment(self) -> None:
        """Make frames and assign splits."""
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
        """Take the augmented dataset."""
        if self.ctx.augment.is_finished_ok:
            self.ctx.dataset = self.ctx.augment.outputs.dataset
        else:
            self._fail(exit_codes.SUB_PROCESS_FAILED_AUGMENT, self.ctx.augment)

    # ── label ─────────────────────────────────────────────────────────────────
    def should_label(self) -> bool:
        """Whether a frame has no label."""
        # A checkpoint of an earlier version has no chosen frames beside the dataset.
        is_whole = self.ctx.dataset.n_labelled == len(self.ctx.dataset)
        return not is_whole or self.ctx.get("chosen") is not None

    def run_label(self) -> None:
        """Label the frames without labels."""
        campaign = self.campaign
        splits = {"fractions": list(campaign.split.fractions), "seed": campaign.seed}
        inputs = self._engine("label") | {
            "dataset": self.ctx.dataset,
            "splits": Dict(splits),
            "min_success": Float(campaign.label.min_success),
        }
        if self.ctx.get("chosen") is not None:
            inputs["chosen"] = self.ctx.chosen
        self._submit("label", "trainspot.label", **inputs)

    def inspect_label(self) -> None:
        """Take labels and failures, and score the judgement that chose the frames."""
        stage = self.ctx.label
        if "labelled" in stage.outputs:
            before = self.ctx.dataset.n_labelled
            self.ctx.dataset = stage.outputs.labelled
            self.ctx.chosen = None
            new, failures = self.ctx.dataset.n_labelled - before, stage.outputs.failures
            self.ctx.new_labels = [new, len(failures)]
            if not len(self.ctx.failed):
                self.ctx.failed = failures
            elif len(failures):
                self.ctx.failed = self._decide(
                    decisions.add_failed, known=self.ctx.failed, new=failures
                )
        if not stage.is_finished_ok:
            code = exit_codes.TOO_MANY_FAILED_LABELS
            failed = stage.exit_status == code.status
            self._fail(code if failed else exit_codes.SUB_PROCESS_FAILED_LABEL, stage)
        elif self.ctx.judged:
            self._score()

    def _score(self) -> None:
        """Compare the last judgement with the new labels; a final audit may end the campaign."""
        n = self.ctx.judged
        scored = self._decide(
            decisions.score,
            n,
            dataset=self.ctx.dataset,
            predictions=self.ctx[f"predictions_{n}"],
            calibration=self.ctx[f"calibration_{n}"],
            judgement=self.ctx.judgement,
            audit_pairs=self.ctx.audit_pairs,
            config=self.inputs.config,
            iteration=Int(n),
        )
        self.ctx[f"score_{n}"] = scored["score"]
        self.ctx.audit_pairs = scored["audit_pairs"]
        score = Score.from_dict(scored["score"].get_dict())
        if score.conclusion is not None:
            self.report(f"final audit: {score.misses} misses, {score.conclusion}")
            self.ctx.state = score.conclusion.value

    # ── train ─────────────────────────────────────────────────────────────────
    def should_train(self) -> bool:
        """Whether this iteration has no committee yet."""
        return self.should_continue() and self.ctx.trained < self.iteration

    def run_train(self) -> None:
        """Train the committee."""
        section = self.campaign.train
        seed = derive_seed(self.campaign.seed, "train", self.iteration)
        frames = self.ctx.dataset
        if section.mix_theories and len(frames.theories) > 1:
            frames = self._decide(training_set, dataset=frames)
        inputs = self._engine("train") | {
            "dataset": frames,
            "seed": Int(seed),
            "committee": Int(section.committee_size),
        }
        if section.bagging:
            inputs["bagging"] = Dict({"share": section.bagging, "seed": self.campaign.seed})
        if section.start == "previous" and self.ctx.trained:
            inputs["start"] = self._models(self.ctx.trained)
        elif section.start == "foundation":
            members = range(section.committee_size)
            inputs["start"] = {f"member_{j}": self.inputs.foundation for j in members}
        self._submit("train", "trainspot.train", **inputs)

    def inspect_train(self) -> None:
        """Take the committee."""
        if not self.ctx.train.is_finished_ok:
            self._fail(exit_codes.SUB_PROCESS_FAILED_TRAIN, self.ctx.train)
            return
        self.ctx.trained = self.iteration
        self.ctx[f"committee_{self.iteration}"] = self.ctx.train

    # ── explore ───────────────────────────────────────────────────────────────
    def should_explore(self) -> bool:
        """Whether this iteration has not explored yet."""
        return self.should_continue() and self.ctx.explored_in < self.iteration

    def run_explore(self) -> None:
        """Run molecular dynamics with one random member, or draw frames from a pool."""
        if self.campaign.explore.explorer.draws_from_pool:
            self._submit("explore", "trainspot.explore", **self._drawing())
            return
        models = self._models(self.ctx.trained)
        member = self._decide(
            explorations.draw_member,
            config=self.inputs.config,
            iteration=Int(self.iteration),
            committee=Int(len(models)),
        )
        inputs = self._engine("explore") | {
            "initial": self._initial(),
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
        """Predict held-out and explored frames with the whole committee."""
        frames = {
            "dataset": self.ctx.dataset,
            "view": Str(evaluation.HELD_OUT),
            "explored": self.ctx.explore.outputs.explored,
        }
        self._evaluate(frames, self.iteration, self._label("evaluate"), "evaluate")

    def repeat_evaluate(self) -> None:
        """Submit the evaluation again if it was killed."""
        self._repeat_if_cut_off(self.iteration, "evaluate")

    def inspect_evaluate(self) -> None:
        """Take the predictions."""
        if not self.ctx.evaluate.is_finished_ok:
            self._fail(exit_codes.SUB_PROCESS_FAILED_EVALUATE, self.ctx.evaluate)
            return
        self.ctx[f"predictions_{self.iteration}"] = self.ctx.evaluate.outputs.predictions

    # ── judge ─────────────────────────────────────────────────────────────────
    def judge(self) -> None:
        """Calibrate, flag and select frames, and decide how to continue."""
        if not self.should_continue():
            return
        n, campaign = self.iteration, self.campaign
        explored = self.ctx.explore.outputs
        schedule = explored.schedule.get_dict()
        work = Work(
            n=n,
            labelled=self.ctx.new_labels[0],
            label_failures=self.ctx.new_labels[1],
            exploration_failures=len(explored.failures),
            reference=reference_of(campaign, self.inputs.codes.label.full_label),
            runs=len(schedule["runs"]),
            broken_off=broken_off(explored.failures.dataset),
            pool=PoolUse(**schedule["pool"]) if "pool" in schedule else None,
        )
        shared = {
            "dataset": self.ctx.dataset,
            "predictions": self.ctx[f"predictions_{n}"],
            "config": self.inputs.config,
        }
        fitted = self._decide(decisions.calibrate, **shared, audit_pairs=self.ctx.audit_pairs)
        decided = self._decide(
            decisions.judge,
            **shared,
            explored=explored.explored,
            starts=explored.starts,
            calibration=fitted["calibration"],
            failed=self.ctx.failed,
            work=Dict(work.to_dict()),
            **self._known(),
        )
        self.ctx.chosen = decided["chosen"] if len(decided["chosen"]) else None
        self.ctx.judgement = decided["judgement"]
        self.ctx[f"record_{n}"] = decided["record"]
        for key in ("pairs", "calibration"):
            self.ctx[f"{key}_{n}"] = fitted[key]
        judgement = decisions.judgement_of(decided["judgement"])
        self.ctx.state = judgement.state
        self.ctx.judged = n
        self.ctx.new_labels = [0, 0]
        self.report(
            f"iteration {n}: {judgement.explored} explored, {len(judgement.flagged)} flagged, "
            f"{len(judgement.selected)} selected, {len(judgement.audit)} audit: {self.ctx.state}"
        )
        if note := judgement.novelty.note:
            self.report(note)

    # ── results ───────────────────────────────────────────────────────────────
    def should_compare(self) -> bool:
        """Whether a committee has not been compared on the final test frames yet."""
        return bool(self.ctx.compared < self.ctx.judged and self.ctx.dataset.n_labelled > 0)

    def run_compare(self) -> None:
        """Predict the final test frames that a committee has not predicted yet.

        The last committee is compared on all labelled frames.
        """
        n = self.ctx.compared + 1
        dataset, predictions = self.ctx.dataset, self.ctx[f"predictions_{n}"]
        is_last = n == self.ctx.judged
        compared, unseen = frames_to_compare(dataset, predictions, everything=is_last)
        self.ctx.compare, self.ctx.comparable = None, bool(compared)
        if unseen:
            frames = {
                "dataset": dataset,
                "view": Str(evaluation.LABELLED if is_last else evaluation.TEST),
                "predicted": predictions,
            }
            self._evaluate(frames, n, f"compare_{n}", "compare", allow_non_finite=True)

    def repeat_compare(self) -> None:
        """Submit the comparison again if it was killed."""
        self._repeat_if_cut_off(self.ctx.compared + 1, "compare", allow_non_finite=True)

    def inspect_compare(self) -> None:
        """Complete the record of the iteration."""
        n = self.ctx.compared = self.ctx.compared + 1
        self.out(f"pairs.iteration_{n}", self.ctx[f"pairs_{n}"])
        job = self.ctx.compare
        # Without it in a checkpoint of an earlier version: there a job predicted all these frames.
        comparable = self.ctx.get("comparable", job is not None)
        if not comparable or (job is not None and not job.is_finished_ok):
            self.report(f"committee {n} was not compared on the final test frames")
            self.out(f"iterations.iteration_{n}", self.ctx[f"record_{n}"])
            return
        added = {} if job is None else {"added": job.outputs.predictions}
        predictions = self._decide(
            complete_predictions,
            n,
            dataset=self.ctx.dataset,
            everything=Bool(n == self.ctx.judged),
            predictions=self.ctx[f"predictions_{n}"],
            **added,
        )
        score = {"score": self.ctx[f"score_{n}"]} if f"score_{n}" in self.ctx else {}
        record = self._decide(
            decisions.finish_record,
            n,
            record=self.ctx[f"record_{n}"],
            dataset=self.ctx.dataset,
            predictions=predictions,
            **score,
        )
        self.out(f"iterations.iteration_{n}", record)
        self.out(f"predictions.iteration_{n}", predictions)

    def results(self) -> ExitCode | None:
        """Attach all results, at every ending."""
        self.out("dataset", self._with_chosen())
        if len(self.ctx.failed):
            self.out("failures", self.ctx.failed)
        if self.ctx.trained:  # the calibration does not apply to a committee that was not judged
            last = self.ctx.judged or self.ctx.trained
            outputs = self.ctx[f"committee_{last}"].outputs
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
