"""``QuantumEspressoLabelWorkChain``: one ``PwBaseWorkChain`` for each frame."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from aiida.engine import append_, if_, while_
from aiida.orm import Bool, CalcFunctionNode, Dict, Int, KpointsData

from aiida_trainspot import exit_codes
from aiida_trainspot.functions.label import (
    FRAME_KEY,
    FRAME_LABELS,
    deal,
    reuse,
    structures,
)
from aiida_trainspot.workflows.jobs import why
from aiida_trainspot.workflows.label import pseudos, pw_preflight
from aiida_trainspot.workflows.label.base import LabelEngineWorkChain
from aiida_trainspot.workflows.label.earlier import earlier_pw
from aiida_trainspot.workflows.label.gather import gather_calculations
from aiida_trainspot.workflows.label.pw import PwBaseWorkChain
from aiida_trainspot.workflows.once import children, decide_once, submit_once
from trainspot.common.errors import InputError
from trainspot.common.validation import parse_settings
from trainspot.data.failure import Failure
from trainspot.label.quantumespresso import QuantumEspressoLabelEngine as Engine

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aiida.engine import ExitCode
    from aiida.engine.processes.workchains.workchain import WorkChainSpec
    from aiida.orm import ProcessNode

    from aiida_trainspot.data.pes import PESData
    from aiida_trainspot.workflows.label.gather import Run
    from aiida_trainspot.workflows.preflight import FirstLabels
    from trainspot.engine import Preflight, Remark
    from trainspot.label.quantumespresso import PwInputs

_AT_A_TIME = 20
"""Frames that one calcfunction turns into structures; short steps keep the daemon responsive."""

_OPTIONS: Mapping[str, Any] = {
    "resources": {"num_machines": 1, "num_mpiprocs_per_machine": 1},
    "max_wallclock_seconds": 12 * 3600,
    "withmpi": False,
}


class QuantumEspressoLabelWorkChain(LabelEngineWorkChain):
    """Label frames with pw.x.

    If ``max_concurrent`` is 1, the frames are labelled one after another. If it is N, the frames
    are distributed to N lanes: workchains of this class with ``max_concurrent`` 1. So there are
    never more than N calculations at the same time, and no lane waits for another.
    """

    engine = "quantumespresso"

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Outline."""
        super().define(spec)
        spec.outline(
            cls.setup,
            if_(cls.has_lanes)(
                cls.run_lanes,
                cls.await_strays,
                cls.results,
            ).else_(
                while_(cls.should_run)(cls.run_frame),
                cls.gather,
            ),
        )
        exit_codes.declare(spec, exit_codes.MISSING_PSEUDOPOTENTIALS)

    @classmethod
    def resolve(cls, settings: Mapping[str, Any], species: list[str]) -> dict[str, Any]:
        """Fill in the cutoffs: the highest that the family recommends for these elements.

        Raises:
            InputError: The family is not installed, lacks an element, or recommends nothing.
        """
        parsed = parse_settings(Engine.Settings, settings)
        family = _family(parsed.pseudo_family)
        missing = sorted(set(species) - set(family.elements))
        if missing:
            raise InputError(
                f"no pseudopotential of {', '.join(missing)}",
                where=f"family '{parsed.pseudo_family}'",
                hint="name a family that has them: aiida-pseudo list",
            )
        if parsed.ecutwfc is not None:
            return dict(settings)
        full = parsed.with_cutoffs(pseudos.cutoffs(family, species))
        return {**settings, "ecutwfc": full.ecutwfc, "ecutrho": full.ecutrho}

    @classmethod
    def preflight(cls, facts: Preflight) -> Iterator[Remark]:
        """Check that the pseudopotentials are installed."""
        yield from pw_preflight.pseudopotentials(facts)

    @classmethod
    def preflight_labels(cls, first: FirstLabels) -> Iterator[Remark]:
        """Check electrons and memory for the first labels."""
        yield from pw_preflight.labels(first)

    # ── with and without lanes ─────────────────────────────────────────────────
    def setup(self) -> ExitCode | None:
        """Complete the settings with cutoffs, and choose the number of lanes."""
        settings = self.inputs.settings.get_dict()
        try:
            full = self.resolve(settings, self.inputs.dataset.species)
        except InputError as error:
            return exit_codes.MISSING_PSEUDOPOTENTIALS.because(str(error))
        self.ctx.settings = self.inputs.settings if full == settings else Dict(full).store()
        self.ctx.lanes = min(self.inputs.max_concurrent.value, len(self.inputs.dataset))
        self.ctx.row = 0
        self.ctx.lost = {}
        return None

    def has_lanes(self) -> bool:
        """Whether other workchains label the frames."""
        return bool(self.ctx.lanes > 1)

    # ── lanes ──────────────────────────────────────────────────────────────────
    def run_lanes(self) -> None:
        """Distribute the frames and start all lanes."""
        lanes = Int(self.ctx.lanes)
        parts = decide_once(self, "deal", deal, dataset=self.inputs.dataset, parts=lanes)
        for key, part in sorted(parts.items()):
            lane = submit_once(
                self,
                key,
                QuantumEspressoLabelWorkChain,
                dataset=part,
                settings=self.ctx.settings,
                code=self.inputs.code,
                options=self.inputs.options,
                max_concurrent=Int(1),
            )
            self.to_context(lanes_started=append_(lane))

    # ── one frame after another ────────────────────────────────────────────────
    def should_run(self) -> bool:
        """Whether a frame is left."""
        return bool(self.ctx.row < len(self.inputs.dataset))

    def run_frame(self) -> None:
        """Submit the next frame, or record why it cannot be computed."""
        row = self.ctx.row
        key = FRAME_KEY.format(row)
        self.ctx.row += 1
        if row % _AT_A_TIME == 0:
            self.ctx.structures = decide_once(
                self,
                f"structures_{row}",
                structures,
                dataset=self.inputs.dataset,
                start=Int(row),
                count=Int(_AT_A_TIME),
            )
        with self.inputs.dataset.opened() as frames:
            frame = frames[row]
        structure = self.ctx.structures[key]
        pseudos = _family(self.parsed.pseudo_family).get_pseudos(structure=structure)
        settings = parse_settings(Engine.Settings, self.ctx.settings.get_dict())
        valences = {kind: pseudo.z_valence for kind, pseudo in pseudos.items()}
        try:
            asked = Engine.inputs(frame, settings, valences)
        except InputError as error:
            self.ctx.lost[frame.id] = Failure(str(error)).to_dict()
            return
        inputs = self._pw_inputs(asked, settings)
        inputs["pw"] |= {"structure": structure, "pseudos": pseudos}
        child = children(self.node, key).get(key)
        if child is None or isinstance(child, CalcFunctionNode):
            earlier = earlier_pw(inputs)
            if earlier is not None:
                decide_once(self, key, reuse, output_trajectory=earlier)
                self.report(f"{key} was computed before: taken from <{earlier.creator.pk}>")
                return
        self.to_context(last=submit_once(self, key, PwBaseWorkChain, **inputs))

    def _pw_inputs(self, asked: PwInputs, settings: Any) -> dict[str, Any]:
        """Inputs of ``PwBaseWorkChain`` without the structure and its pseudopotentials."""
        kpoints = KpointsData()
        kpoints.set_kpoints_mesh(list(asked.mesh), offset=[bit / 2 for bit in asked.offset])
        pw: dict[str, Any] = {
            "code": self.inputs.code,
            "parameters": Dict(asked.parameters),
            "metadata": {"options": {**_OPTIONS, **self.inputs.options.get_dict()}},
        }
        if asked.gamma_only:
            pw["settings"] = Dict({"gamma_only": True})
        if settings.parallelization:
            pw["parallelization"] = Dict(settings.parallelization)
        return {
            "pw": pw,
            "kpoints": kpoints,
            "max_iterations": Int(settings.max_iterations),
            "clean_workdir": Bool(settings.clean_workdir),
        }

    def gather(self) -> None:
        """Turn results into labels; frames without a result are failures with a reason."""
        run = partial(decide_once, self)
        self.finish(_gather_frames(run, "gather", self.node, self.ctx.settings, self.ctx.lost))

    @classmethod
    def left_by(cls, run: Run, key: str, process: ProcessNode) -> dict[str, PESData]:
        """See the base class; for a failed lane, its finished frames."""
        if "labelled" in process.outputs or not children(process, FRAME_LABELS):
            return super().left_by(run, key, process)
        settings = process.inputs.settings
        failure = Failure(why(process), process.exit_status).to_dict()
        lost = dict.fromkeys(process.inputs.dataset.dataset.ids, failure)
        gathered = _gather_frames(run, f"salvage_{key}", process, settings, lost)
        return {f"{name}_{key}": node for name, node in gathered.items()}

    @classmethod
    def labelled_alone(cls, process: ProcessNode) -> set[str]:
        """See the base class; the label of a structure is the id of its frame."""
        is_label = process.process_label == "PwBaseWorkChain" and process.is_finished_ok
        return {process.inputs.pw.structure.label} if is_label else set()


def _gather_frames(
    run: Run, label: str, lane: ProcessNode, settings: Dict, lost: dict[str, Any]
) -> dict[str, PESData]:
    """Labels and failures from the calculations of a lane.

    Args:
        run: Calls a calcfunction.
        label: Label of the call.
        lane: The work chain that submitted the calculations; it may have failed.
        settings: Settings with cutoffs.
        lost: Why frames without a calculation have no label: frame id → ``Failure.to_dict``.
    """
    trajectories = {}
    lost = dict(lost)
    dataset = lane.inputs.dataset
    with dataset.opened() as frames:
        ids = frames.ids
    for key, child in children(lane, FRAME_LABELS).items():
        if child.is_finished_ok and "output_trajectory" in child.outputs:
            trajectories[key] = child.outputs.output_trajectory
        else:
            lost[ids[int(key.rpartition("_")[2])]] = _why_not(child).to_dict()
    return gather_calculations(run, label, dataset, settings, Dict(lost), trajectories)


def _why_not(child: ProcessNode) -> Failure:
    """Why a frame failed: exit status and messages of the last calculation and its parent."""
    status, reason = child.exit_status, why(child)
    calculations = [node for node in child.called if node.process_label == "PwCalculation"]
    if calculations:
        last = max(calculations, key=lambda node: node.pk)
        if not last.is_finished_ok:
            status, reason = last.exit_status, f"{why(last)} ({reason})"
    return Failure(reason, status)


def _family(label: str) -> Any:
    """The installed pseudopotential family with this label.

    Raises:
        InputError: The family is not installed.
    """
    family = pseudos.family(label)
    if family is None:
        raise InputError(
            f"pseudopotential family '{label}' is not installed",
            hint="install it: aiida-pseudo install, or run: trainspot setup",
        )
    return family
