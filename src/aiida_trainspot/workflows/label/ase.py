"""``AseLabelWorkChain``: any ASE calculator, many frames in one job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiida.engine import while_
from aiida.orm import CalcJobNode, Int, Str

from aiida_trainspot.calculations.ase_label import AseLabelCalculation
from aiida_trainspot.functions.label import EARLIER, PART_KEY, PART_LABELS, batches, reuse_frames
from aiida_trainspot.parsers.ase_label import written_by
from aiida_trainspot.workflows.label.base import LabelEngineWorkChain
from aiida_trainspot.workflows.label.earlier import earlier_ase
from aiida_trainspot.workflows.once import children, decide_once, submit_once
from trainspot.dataset import Dataset
from trainspot.label.ase import AseLabelEngine

if TYPE_CHECKING:
    from aiida.engine.processes.workchains.workchain import WorkChainSpec
    from aiida.orm import ProcessNode

    from aiida_trainspot.data.pes import PESData


class AseLabelWorkChain(LabelEngineWorkChain):
    """Label in jobs of ``frames_per_job`` frames, one after another.

    ``max_concurrent`` processes share the frames of a job. What a job had labelled before it died
    is kept, its other frames go to ``failures``; the workchain fails only if no job labels any.
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
        """See the base class; of a job at work, or killed, what its journal holds."""
        jobs = [
            job
            for job in children(process, PART_LABELS).values()
            if isinstance(job, CalcJobNode) and "labelled" not in job.outputs
        ]
        return Dataset.concatenate([super().labelled_in(process), *map(written_by, jobs)])

    def setup(self) -> None:
        """Take what is known, and cut the rest into batches; a small one is its own batch."""
        dataset = self._unknown()
        size = self.parsed.frames_per_job
        if not len(dataset):
            self.ctx.batches = {}
        elif len(dataset) <= size and not dataset.n_labelled:
            self.ctx.batches = {PART_KEY.format(0): dataset}
        else:
            self.ctx.batches = decide_once(
                self, "batches", batches, dataset=dataset, size=Int(size)
            )
        self.ctx.done = 0

    def _unknown(self) -> PESData:
        """The frames that no earlier job has labelled; the others are a part of their own."""
        dataset, settings = self.inputs.dataset, self.inputs.settings
        earlier = earlier_ase(dataset, settings, self.inputs.code)
        if not earlier:
            return dataset
        theory = Str(AseLabelEngine.theory(self.parsed))
        found = decide_once(self, EARLIER, reuse_frames, dataset=dataset, theory=theory, **earlier)
        count = len(dataset) - len(found["rest"])
        self.report(f"{count} of {len(dataset)} frames were labelled before: taken from there")
        rest: PESData = found["rest"]
        return rest

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
