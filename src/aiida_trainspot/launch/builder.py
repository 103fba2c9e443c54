"""From a resolved campaign to the inputs of ``TrainsPotWorkChain``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aiida.common.exceptions import MultipleObjectsError, NotExistent
from aiida.manage import get_config_option, get_manager
from aiida.orm import AbstractCode, Code, Dict, QueryBuilder, SinglefileData, load_code
from aiida.plugins import WorkflowFactory
from aiida.schedulers.datastructures import NodeNumberJobResource

from aiida_trainspot.data.pes import PESData
from aiida_trainspot.runtime.processes import workers_of
from trainspot.common.errors import InputError, UnknownNameError
from trainspot.common.processes import cores
from trainspot.config.document import Document
from trainspot.config.document import read as read_document
from trainspot.config.load import Loaded, foundation_file, read_inputs, resolve
from trainspot.config.models import Resources
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.io.pool import read_pool
from trainspot.judge.judgement import check_installed

if TYPE_CHECKING:
    from aiida.engine.processes.builder import ProcessBuilder

    from trainspot.config.models import Campaign

STAGES: Final = ("label", "train", "explore", "evaluate")
"""The stages with a program, each with a code and options."""

CONCURRENT_STAGES: Final = ("label", "train", "explore")
"""The stages that run several jobs at the same time."""

_SLOTS_PER_JOB: Final = 3
"""Slots of the daemon for a job: the lane, its base workchain and the job itself."""
# For the campaign itself, and for a second campaign.
_RESERVED_SLOTS: Final = 10
_KB_PER_GB: Final = 1_000_000


def campaign_inputs(
    campaign: Campaign,
    dataset: PESData | Dataset | Iterable[Frame],
    codes: Mapping[str, AbstractCode | str] | None = None,
    pools: Mapping[str, PESData] | None = None,
) -> dict[str, Any]:
    """The inputs of ``TrainsPotWorkChain``.

    Args:
        campaign: The resolved campaign.
        dataset: The input frames.
        codes: Codes by stage, in place of the codes in the campaign.
        pools: Frames of the stages whose engines work on a file, in place of the files.

    Returns:
        ``dataset``, ``config`` (the campaign as JSON), ``codes`` and ``options`` (each by stage),
        ``max_concurrent`` (by stage, the value of ``auto``), ``pools`` (by stage, if an engine
        works on a file), ``metadata``.

    Raises:
        InputError: A code does not exist, or a file of frames cannot be read.
    """
    config = campaign.model_dump(mode="json")
    chosen = codes_of(campaign, codes)
    for stage, code in chosen.items():
        config[stage]["code"] = code.full_label
    facts = {stage: resources_of(campaign, code) for stage, code in chosen.items()}
    node = dataset if isinstance(dataset, PESData) else PESData(dataset)
    nodes = pools_of(campaign) if pools is None else dict(pools)
    return ({"pools": nodes} if nodes else {}) | {
        "dataset": node,
        "config": Dict(config),
        "codes": chosen,
        "options": {stage: Dict(options(code, facts[stage])) for stage, code in chosen.items()},
        "max_concurrent": Dict(
            {stage: concurrency(chosen[stage], facts[stage]) for stage in CONCURRENT_STAGES}
        ),
        "metadata": {"label": campaign.name},
    }


def get_builder(
    campaign: Path | str | Mapping[str, Any] | Loaded,
    *,
    dataset: PESData | Dataset | Iterable[Frame] | None = None,
    codes: Mapping[str, AbstractCode | str] | None = None,
    protocol: str | None = None,
) -> ProcessBuilder:
    """A builder of ``TrainsPotWorkChain`` for a campaign file or its content.

    Args:
        campaign: A file, its content, or the result of ``config.load``.
        dataset: The input frames, in place of the structures in the campaign.
        codes: Codes by stage (label, train, explore, evaluate), in place of those in the campaign.
        protocol: Named set of defaults, in place of the campaign's.

    Raises:
        InputError: The campaign, its frames or its codes have an error, or an extra is missing.
    """
    if isinstance(campaign, Loaded):
        document = campaign.document
    elif isinstance(campaign, Mapping):
        document = Document(Path("campaign"), dict(campaign))
    else:
        document = read_document(Path(campaign))
    if protocol is not None:
        document = replace(document, data={**document.data, "protocol": protocol})
    loaded = resolve(document)
    check_installed(loaded.campaign.select)
    frames = read_inputs(loaded) if dataset is None else dataset
    builder = WorkflowFactory("trainspot.campaign").get_builder()
    inputs = campaign_inputs(loaded.campaign, frames, codes)
    if path := foundation_file(loaded):
        inputs["foundation"] = SinglefileData(path.resolve(), filename=path.name)
    builder._merge(inputs)  # noqa: SLF001  (many at once)
    return builder


def pools_of(campaign: Campaign) -> dict[str, PESData]:
    """A node for each stage whose engine works on a file; stages with one file share the node.

    Raises:
        InputError: A file is missing, or has labels of several levels of theory.
    """
    files = campaign.pools
    nodes = {file: PESData(read_pool(file)) for file in set(files.values())}
    return {stage: nodes[file] for stage, file in files.items()}


def codes_of(
    campaign: Campaign, given: Mapping[str, AbstractCode | str] | None = None
) -> dict[str, AbstractCode]:
    """The code of every stage.

    Raises:
        InputError: A code or a stage does not exist.
    """
    chosen = dict(given or {})
    for stage in chosen:
        if stage not in STAGES:
            raise UnknownNameError("stage", stage, STAGES, where="codes")
    return {
        stage: code_of(stage, chosen.get(stage) or getattr(campaign, stage).code)
        for stage in STAGES
    }


def code_of(stage: str, name: AbstractCode | str) -> AbstractCode:
    """The code of a stage by its name.

    Raises:
        UnknownNameError: The code does not exist; the message suggests the most similar name.
        InputError: Several codes have this name.
    """
    if isinstance(name, AbstractCode):
        return name
    try:
        return load_code(name)
    except MultipleObjectsError as error:
        raise InputError(f"several codes are called '{name}'", where=f"{stage}.code") from error
    except NotExistent as error:
        raise UnknownNameError("code", name, code_labels(), where=f"{stage}.code") from error


def code_labels() -> list[str]:
    """``label@computer`` of every code that is not hidden."""
    codes = QueryBuilder().append((AbstractCode, Code)).all(flat=True)
    return sorted({code.full_label for code in codes if not code.is_hidden})


# ── machine facts ─────────────────────────────────────────────────────────────
def resources_of(campaign: Campaign, code: AbstractCode) -> Resources:
    """The resources of a code: those of its computer, then those of the code itself."""
    values: dict[str, Any] = {}
    for key in (code.computer.label, code.full_label):
        if key in campaign.resources:
            values |= campaign.resources[key].model_dump(exclude_unset=True)
    return Resources(**values)


def options(code: AbstractCode, resources: Resources) -> dict[str, Any]:
    """``metadata.options`` of the CalcJobs that run a code."""
    processes = resources.processes or code.computer.get_default_mpiprocs_per_machine() or 1
    total = resources.machines * processes
    scheduler = code.computer.get_scheduler()
    if issubclass(scheduler.job_resource_class, NodeNumberJobResource):
        wanted: dict[str, Any] = {
            "num_machines": resources.machines,
            "num_mpiprocs_per_machine": processes,
        }
        if resources.threads:
            wanted["num_cores_per_mpiproc"] = resources.threads
    else:
        wanted = {"tot_num_mpiprocs": total}
    needs_mpi = total > 1 if resources.mpi is None else resources.mpi
    entries: dict[str, Any] = {
        "resources": wanted,
        "withmpi": needs_mpi if code.with_mpi is None else code.with_mpi,
        "account": resources.account,
        "queue_name": resources.queue,
        "max_wallclock_seconds": resources.walltime,
        "max_memory_kb": round(resources.memory * _KB_PER_GB) if resources.memory else None,
        "prepend_text": resources.prepend,
        "custom_scheduler_commands": resources.scheduler,
    }
    return {key: value for key, value in entries.items() if value not in (None, "")}


def concurrency(code: AbstractCode, resources: Resources) -> int:
    """Default number of jobs at the same time.

    Without a scheduler the number of cores is the limit; with a scheduler the slots of the daemon,
    of which the workchains above the jobs hold some.
    """
    if code.computer.scheduler_type == "core.direct":
        if code.computer.transport_type == "core.local":
            available = cores()
        else:
            available = code.computer.get_default_mpiprocs_per_machine() or 1
        return max(1, available // ((resources.processes or 1) * (resources.threads or 1)))
    return max(1, slots() // _SLOTS_PER_JOB - _RESERVED_SLOTS)


def most_concurrent() -> int:
    """Largest number of jobs with which the parents of jobs cannot fill all slots of the daemon."""
    return max(1, slots() // _SLOTS_PER_JOB - 1)


def slots() -> int:
    """Number of process slots of the running daemon; of one worker if no daemon runs."""
    each = int(get_config_option("daemon.worker_process_slots"))
    profile = get_manager().get_profile()
    workers = len(workers_of(profile)) if profile is not None else 0
    return each * max(1, workers)
