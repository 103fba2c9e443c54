"""``AbInitioLabellingWorkChain``: the labelling stage with any engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.engine import WorkChain, if_
from aiida.orm import Dict, Float, Str

from aiida_trainspot import exit_codes
from aiida_trainspot.data.pes import PESData
from aiida_trainspot.functions.label import (
    merge_labels,
    merged_already,
    pending,
    pending_already,
)
from aiida_trainspot.workflows.label.base import (
    LabelEngineWorkChain,
    engine_workchain,
    rescued,
    sub_process_failed,
    wait_for_strays,
)
from aiida_trainspot.workflows.once import decide_once, submit_once
from trainspot.common.errors import InputError, TrainspotError
from trainspot.common.validation import parse_settings
from trainspot.data.dataset import Dataset
from trainspot.data.failure import reason_of
from trainspot.data.isolated import is_isolated_atom
from trainspot.data.refused import without_marked
from trainspot.label import base
from trainspot.split import assign

if TYPE_CHECKING:
    from aiida.engine import ExitCode
    from aiida.engine.processes.workchains.workchain import WorkChainSpec


class AbInitioLabellingWorkChain(WorkChain):
    """Label the frames of a dataset that have no labels, each geometry once."""

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Ports and outline."""
        super().define(spec)
        spec.input("engine", valid_type=Str, help="Name of the label engine.")
        spec.expose_inputs(LabelEngineWorkChain)
        # validated below: the settings belong to the engine, which another port names
        spec.inputs["settings"].validator = None
        spec.inputs.validator = _validate
        spec.input(
            "chosen",
            valid_type=PESData,
            required=False,
            help="Frames that are added to the dataset and labelled too.",
        )
        spec.input(
            "splits",
            valid_type=Dict,
            required=False,
            validator=_valid_splits,
            help="`fractions` and `seed` for the splits of frames without a split.",
        )
        spec.input(
            "min_success",
            valid_type=Float,
            default=lambda: Float(0.9),
            help="Least share of labelled frames; isolated atoms must always be labelled.",
        )
        spec.outline(
            cls.setup,
            if_(cls.should_label)(cls.run_engine, cls.await_strays, cls.inspect_engine),
            cls.results,
        )
        spec.output("labelled", valid_type=PESData, help="The dataset without failed frames.")
        spec.output("failures", valid_type=PESData, help="Frames without labels, with reasons.")
        exit_codes.declare(
            spec,
            exit_codes.NO_FRAMES,
            exit_codes.MISSING_PSEUDOPOTENTIALS,
            exit_codes.TOO_MANY_FAILED_LABELS,
            exit_codes.SUB_PROCESS_FAILED_LABEL,
        )

    def setup(self) -> ExitCode | None:
        """Select the frames that need labels."""
        if not any(len(node) for node in self._datasets.values()):
            return exit_codes.NO_FRAMES.because()
        already = pending_already(self.inputs.dataset, self._datasets.get("chosen"))
        if already is None:
            already = decide_once(self, "pending", pending, **self._datasets)
        self.ctx.pending = already
        return None

    @property
    def _datasets(self) -> dict[str, PESData]:
        """The dataset and the chosen frames, by port."""
        return {name: self.inputs[name] for name in ("dataset", "chosen") if name in self.inputs}

    @property
    def _species(self) -> list[str]:
        """Chemical symbols of all frames."""
        return list(dict.fromkeys(s for node in self._datasets.values() for s in node.species))

    def should_label(self) -> bool:
        """Whether a frame has no label."""
        return len(self.ctx.pending) > 0

    def run_engine(self) -> ExitCode | None:
        """Submit the engine with settings for the elements of the whole dataset."""
        process = engine_workchain(self.inputs.engine.value)
        settings = self.inputs.settings.get_dict()
        try:
            full = process.resolve(settings, self._species)
        except InputError as error:
            return exit_codes.MISSING_PSEUDOPOTENTIALS.because(str(error))
        child = submit_once(
            self,
            "engine",
            process,
            dataset=self.ctx.pending,
            settings=self.inputs.settings if full == settings else Dict(full),
            code=self.inputs.code,
            options=self.inputs.options,
            max_concurrent=self.inputs.max_concurrent,
            **({"pool": self.inputs.pool} if "pool" in self.inputs else {}),
        )
        self.to_context(engine=child)
        return None

    def await_strays(self) -> None:
        """Wait for the running children of an engine that has failed."""
        if not self.ctx.engine.is_finished_ok:
            wait_for_strays(self, [self.ctx.engine])

    def inspect_engine(self) -> ExitCode | None:
        """Take the labels; end the stage if the engine failed without any label."""
        engine = self.ctx.engine
        if engine.is_finished_ok:
            self.ctx.found = {name: engine.outputs[name] for name in ("labelled", "failures")}
            return None
        process = engine_workchain(self.inputs.engine.value)
        self.ctx.found = rescued(self, process, self.ctx.pending, {"engine": engine})
        return None if len(self.ctx.found["labelled"]) else sub_process_failed(engine)

    def results(self) -> ExitCode | None:
        """Merge the labels into the dataset and check how many are missing."""
        default = {"labelled": self.ctx.pending, "failures": self.ctx.pending}
        outcome = self.ctx.get("found", default)
        inputs = self._datasets | outcome
        inputs |= {"splits": self.inputs.splits} if "splits" in self.inputs else {}
        inputs |= self._names() if "found" in self.ctx else {}
        merged = merged_already(**inputs)
        if merged is None:
            merged = decide_once(self, "merge", merge_labels, **inputs)
        self.out("labelled", merged)
        self.out("failures", outcome["failures"])
        if "found" not in self.ctx:
            return None
        if not self.ctx.engine.is_finished_ok:
            return sub_process_failed(self.ctx.engine)
        return self._verdict(**outcome)

    def _names(self) -> dict[str, Dict]:
        """Names of the level of theory, if it has former names."""
        name = self.inputs.engine.value
        values = self.inputs.settings.get_dict()
        engine = base.engine(name)
        full = engine_workchain(name).resolve(values, self._species)
        settings = parse_settings(engine.Settings, full)
        former = base.former_theories(engine(), settings)
        return (
            {"names": Dict({"theory": engine.theory(settings), "former": former})} if former else {}
        )

    def _verdict(self, labelled: PESData, failures: PESData) -> ExitCode | None:
        # Many frames that the screen refused cannot be labelled: they say nothing about the engine.
        failed = without_marked(failures.dataset)
        if len(failures) > len(failed):
            self.report(f"{len(failures) - len(failed)} refused frames could not be labelled")
        if not len(failed):
            return None
        first = reason_of(failed[0])
        atoms = [frame for frame in failed if is_isolated_atom(frame)]
        if atoms:
            names = ", ".join(sorted({str(frame.to_atoms().symbols) for frame in atoms}))
            return exit_codes.TOO_MANY_FAILED_LABELS.because(
                f"isolated atom {names}: {reason_of(atoms[0])}"
            )
        counted = len(without_marked(labelled.dataset))
        asked = counted + len(failed)
        if counted / asked < self.inputs.min_success.value:
            return exit_codes.TOO_MANY_FAILED_LABELS.because(
                f"{len(failed)} of {asked}; the first: {first}"
            )
        self.report(f"{len(failed)} frames could not be labelled; the first: {first}")
        return None


def _valid_splits(node: Dict, _: Any) -> str | None:
    try:
        assign(Dataset.from_frames([]), node.get_dict()["fractions"])
        int(node.get_dict()["seed"])
    except (KeyError, TypeError, ValueError, InputError) as error:
        return f"not the fractions and the seed of splits: {error}"
    return None


def _validate(inputs: Any, _: Any) -> str | None:
    """Check that the engine exists and accepts the settings."""
    if "engine" not in inputs or "settings" not in inputs:
        return None  # reported as missing
    try:
        process = engine_workchain(inputs["engine"].value)
    except TrainspotError as error:
        return str(error)
    if base.engine(inputs["engine"].value).pool_setting and "pool" not in inputs:
        return f"engine '{inputs['engine'].value}' needs the input 'pool'"
    return process.validate_settings(inputs["settings"], None)
