"""``AseLabelWorkChain``: labels with any ASE calculator, many frames in one job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiida.engine import while_
from aiida.orm import CalcJobNode, Int, Str

from aiida_trainspot.calculations.ase_label import AseLabelCalculation
from aiida_trainspot.functions.label import (
    EARLIER,
    PART_KEY,
    PART_LABELS,
    batches,
    is_bare,
    rest,
    reuse_frames,
)
from aiida_trainspot.parsers.ase_label import written_by
from aiida_trainspot.workflows.jobs import AGAIN, was_cut_off, why
from aiida_trainspot.workflows.label.base import LabelEngineWorkChain
from aiida_trainspot.workflows.label.earlier import earlier_ase
from aiida_trainspot.workflows.once import children, decide_once, submit_once
from trainspot.data.dataset import Dataset
from trainspot.label.ase import AseLabelEngine

if TYPE_CHECKING:
    from aiida.engine.processes.workchains.workchain import WorkChainSpec
    from aiida.orm import ProcessNode

    from aiida_trainspot.data.pes import PESData


class AseLabelWorkChain(LabelEngineWorkChain):
    """Label in jobs of ``frames_per_job`` frames, one after another.

    ``max_concurrent`` processes share the frames of a job. The labels of a failed job are kept. If
    the job was killed, another job labels its other frames; otherwise they go to ``failures``. The
    workchain fails only if no job labels any frame.
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

    @classmethod
    def labelled_in(cls, process: ProcessNode) -> Dataset:
        """See the base class; for a running or killed job, the frames in its journal."""
        jobs = [
            job
            for job in children(process, PART_LABELS).values()
            if isinstance(job, CalcJobNode) and "labelled" not in job.outputs
        ]
        return Dataset.concatenate([super().labelled_in(process), *map(written_by, jobs)])

    def setup(self) -> None:
        """Reuse earlier labels, and divide the other frames into batches."""
        dataset = self._unknown()
        size = self.parsed.frames_per_job
        if not len(dataset):
            self.ctx.batches = {}
        elif len(dataset) <= size and is_bare(dataset):
            self.ctx.batches = {PART_KEY.format(0): dataset}
        else:
            self.ctx.batches = decide_once(
                self, "batches", batches, dataset=dataset, size=Int(size)
            )
        self.ctx.done = 0

    def _unknown(self) -> PESData:
        """The frames that no earlier job has labelled; the other frames become a separate part."""
        dataset, settings = self.inputs.dataset, self.inputs.settings
        earlier = earlier_ase(dataset, settings, self.inputs.code)
        if not earlier:
            return dataset
        theory = Str(AseLabelEngine.theory(self.parsed))
        parts = decide_once(self, EARLIER, reuse_frames, dataset=dataset, theory=theory, **earlier)
        count = len(dataset) - len(parts["rest"])
        self.report(f"{count} of {len(dataset)} frames were labelled before: taken from there")
        unknown: PESData = parts["rest"]
        return unknown

    def should_run(self) -> bool:
        """Whether a batch is left."""
        self._repeat_what_was_cut_off()
        return self.ctx.done < len(self.ctx.batches)

    def _repeat_what_was_cut_off(self) -> None:
        """Add the rest of a killed job as a batch, unless two jobs in a row labelled nothing."""
        job, submitted = self.ctx.get("job"), self.ctx.done
        if not was_cut_off(job):
            return
        key = sorted(self.ctx.batches)[submitted - 1]
        has_labels = "labelled" in job.outputs and len(job.outputs.labelled) > 0
        if f"{key}{AGAIN}" in self.ctx.batches or (key.endswith(AGAIN) and not has_labels):
            return
        batch = self.ctx.batches[key]
        if has_labels:
            labelled = job.outputs.labelled
            batch = decide_once(self, f"rest_of_{key}", rest, dataset=batch, labelled=labelled)
        if len(batch):
            self.report(f"{why(job)} <{job.pk}>; its other {len(batch)} frames are labelled again")
            self.ctx.batches = {**self.ctx.batches, f"{key}{AGAIN}": batch}

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
