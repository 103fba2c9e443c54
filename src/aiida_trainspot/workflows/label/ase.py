"""``AseLabelWorkChain``: any ASE calculator, many frames in one job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.engine import while_
from aiida.orm import Dict, Int

from aiida_trainspot.calculations.ase_label import AseLabelCalculation
from aiida_trainspot.functions.label import PART_KEY, PART_LABELS, batches, gather_parts
from aiida_trainspot.workflows.label.base import (
    NOT_CACHED,
    LabelEngineWorkChain,
    sub_process_failed,
    why,
)
from aiida_trainspot.workflows.once import children, submit_once

if TYPE_CHECKING:
    from aiida.engine import ExitCode
    from aiida.engine.processes.workchains.workchain import WorkChainSpec


class AseLabelWorkChain(LabelEngineWorkChain):
    """Label in jobs of ``frames_per_job`` frames, one after another.

    ``max_concurrent`` processes share the frames of a job. A job that dies takes its own frames
    to ``failures``; the workchain fails only if no job succeeds.
    """

    engine = "ase"

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Outline."""
        super().define(spec)
        spec.outline(
            cls.setup,
            while_(cls.should_run)(cls.run_job),
            cls.results,
        )

    def setup(self) -> None:
        """Cut the dataset into batches; a small unlabelled one is its own batch."""
        dataset = self.inputs.dataset
        size = self.parsed.frames_per_job
        if not len(dataset):
            self.ctx.batches = {}
        elif len(dataset) <= size and not dataset.n_labelled:
            self.ctx.batches = {PART_KEY.format(0): dataset}
        else:
            self.ctx.batches = batches(dataset, Int(size), metadata=NOT_CACHED)
        self.ctx.done = 0

    def should_run(self) -> bool:
        """Whether a batch is left."""
        return self.ctx.done < len(self.ctx.batches)

    def run_job(self) -> None:
        """Submit the next batch."""
        key = sorted(self.ctx.batches)[self.ctx.done]
        job = submit_once(
            self,
            key,
            AseLabelCalculation,
            dataset=self.ctx.batches[key],
            settings=self.inputs.settings,
            code=self.inputs.code,
            workers=self.inputs.max_concurrent.value,
            metadata={"options": self.inputs.options.get_dict()},
        )
        self.ctx.done += 1
        self.to_context(job=job)

    def results(self) -> ExitCode | None:
        """Join what the jobs left."""
        jobs = children(self, PART_LABELS)
        good = {key: job for key, job in jobs.items() if job.is_finished_ok}
        if jobs and not good:
            return sub_process_failed(next(iter(jobs.values())))
        parts = {}
        lost: dict[str, Any] = {}
        for key, job in jobs.items():
            if key in good:
                parts[f"labelled_{key}"] = job.outputs.labelled
                parts[f"failures_{key}"] = job.outputs.failures
                continue
            status, reason = why(job)
            self.report(f"{reason} <{job.pk}>; its frames go to failures")
            why_not = {"reason": reason, "exit_status": status}
            lost |= dict.fromkeys(self.ctx.batches[key].dataset.ids, why_not)
        self.finish(gather_parts(self.inputs.dataset, Dict(lost), **parts, metadata=NOT_CACHED))
        return None
