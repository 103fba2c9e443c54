"""Labels from the database, which are looked up before new calculations (decision 0043).

AiiDA's cache compares all inputs of a calculation. But a label does not depend on inputs for the
convergence, for the parallelization, or for other frames in the same job.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aiida.common.links import LinkType
from aiida.manage.caching import get_use_cache
from aiida.orm import AbstractCode, CalcJobNode, Dict, QueryBuilder, StructureData, WorkChainNode

from aiida_trainspot import exit_codes
from aiida_trainspot.data.pes import PESData
from trainspot.common.errors import InputError
from trainspot.common.validation import parse_settings, same_values
from trainspot.label.ase import AseSettings
from trainspot.label.practical import decisive_pw

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aiida.orm import TrajectoryData

    from trainspot.label.base import EngineSettings

PW: Final = "aiida.calculations:quantumespresso.pw"
ASE: Final = "aiida.calculations:trainspot.ase_label"
_MOST: Final = 20
"""Largest number of earlier jobs whose labels are reused in one decision."""

_COMPARED: Final = {"pw__structure", "pw__parameters", "pw__code", "pw__settings", "kpoints"}
_PSEUDO: Final = "pw__pseudos__"
_PRACTICAL: Final = {"pw__parallelization", "max_iterations", "clean_workdir", "handler_overrides"}
_CUT_OFF: Final = [
    code.status
    for code in (exit_codes.OUT_OF_WALLTIME, exit_codes.OUT_OF_MEMORY, exit_codes.KILLED)
]


# ── pw.x ──────────────────────────────────────────────────────────────────────
def earlier_pw(inputs: Mapping[str, Any]) -> TrajectoryData | None:
    """The result of an earlier ``PwBaseWorkChain`` with the same question, if there is one.

    Args:
        inputs: Inputs of ``PwBaseWorkChain``, with a stored structure labelled with the frame id.

    Returns:
        The trajectory; ``None`` also if the user has switched off caching of pw.x, or has marked
        the calculation as invalid for caching.
    """
    structure = inputs["pw"]["structure"]
    if not structure.label or not get_use_cache(identifier=PW):
        return None
    query = QueryBuilder().append(
        StructureData,
        filters={"label": structure.label, "id": {"!==": structure.pk}},
        tag="structure",
    )
    query.append(
        WorkChainNode,
        with_incoming="structure",
        edge_filters={"label": "pw__structure"},
        filters={"attributes.process_label": "PwBaseWorkChain", "attributes.exit_status": 0},
        tag="asked",
        project="*",
    )
    query.order_by({"asked": {"ctime": "desc"}})
    for (node,) in query.iterall():
        if "output_trajectory" not in node.outputs or not _same_question(inputs, node):
            continue
        trajectory: TrajectoryData = node.outputs.output_trajectory
        if trajectory.creator is not None and trajectory.creator.base.caching.is_valid_cache:
            return trajectory
    return None


def _same_question(inputs: Mapping[str, Any], node: WorkChainNode) -> bool:
    """Whether a workchain had inputs that give the same numbers."""
    asked = node.base.links.get_incoming(link_type=LinkType.INPUT_WORK)
    labels = set(asked.all_link_labels())
    others = {label for label in labels if not label.startswith(_PSEUDO)} - _COMPARED - _PRACTICAL
    if "kpoints" not in labels or others:
        return False
    pw, old = inputs["pw"], node.inputs.pw
    pairs = ((pw["structure"], old.structure), (pw["code"], old.code))
    if any(new.base.caching.get_hash() != former.base.caching.get_hash() for new, former in pairs):
        return False
    if {k: p.md5 for k, p in pw["pseudos"].items()} != {k: p.md5 for k, p in old.pseudos.items()}:
        return False
    now, then = (
        _numbers(ports) for ports in ({**inputs, **pw}, {**old, "kpoints": node.inputs.kpoints})
    )
    return same_values(now, then)


def _numbers(ports: Mapping[str, Any]) -> dict[str, Any]:
    mesh, offset = ports["kpoints"].get_kpoints_mesh()
    settings = ports["settings"].get_dict() if "settings" in ports else {}
    parameters = decisive_pw(ports["parameters"].get_dict())
    return {
        "kpoints": [*mesh, *offset],
        "settings": settings,
        "parameters": {name: keywords for name, keywords in parameters.items() if keywords},
    }


# ── jobs of many frames ───────────────────────────────────────────────────────
def earlier_ase(dataset: PESData, settings: Dict, code: AbstractCode) -> dict[str, PESData]:
    """Results of earlier jobs for these frames, with settings that give the same labels.

    Args:
        dataset: The frames.
        settings: Settings of the engine ``ase``.
        code: The program.

    Returns:
        Labelled frames of each job, and its failed frames if it had exactly these settings.
    """
    if not get_use_cache(identifier=ASE):
        return {}
    with dataset.opened() as frames:
        wanted = set(frames.ids)
    parts: dict[str, PESData] = {}
    for job, used, labelled in _jobs(code):
        if not wanted or len(parts) >= 2 * _MOST:
            break
        if not _alike(used, settings.get_dict()):
            continue
        nodes = {"labelled": labelled}
        if same_values(used, settings.get_dict()) and job.is_finished_ok:
            nodes["failures"] = job.outputs.failures
        for name, node in nodes.items():
            with node.opened() as frames:
                ids = wanted.intersection(frames.ids)
            if ids:
                parts[f"{name}_{job.pk}"] = node
                wanted -= ids
    return parts


def _jobs(code: AbstractCode) -> Iterator[tuple[CalcJobNode, dict[str, Any], PESData]]:
    """Jobs of the same program, latest first: node, settings, labelled frames."""
    query = QueryBuilder().append(
        CalcJobNode,
        filters={
            "process_type": ASE,
            "attributes.exit_status": {"in": [0, *_CUT_OFF]},
        },
        tag="job",
        project="*",
    )
    query.append(
        Dict, with_outgoing="job", edge_filters={"label": "settings"}, project="attributes"
    )
    query.append(PESData, with_incoming="job", edge_filters={"label": "labelled"}, project="*")
    query.order_by({"job": {"ctime": "desc"}})
    for job, settings, labelled in query.iterall():
        is_valid = job.exit_status in _CUT_OFF or job.base.caching.is_valid_cache
        if is_valid and job.inputs.code.base.caching.get_hash() == code.base.caching.get_hash():
            yield job, settings, labelled


def _alike(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether two settings give the same labels."""
    decisive = []
    for settings in (first, second):
        try:
            parsed: EngineSettings = parse_settings(AseSettings, settings)
        except InputError:  # written by another version
            return False
        decisive.append(parsed.decisive())
    return same_values(*decisive)
