"""All checks of a campaign before it starts, with one line for each remark."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil
from aiida.common.exceptions import NotExistent, ValidationError
from aiida.manage import get_config_option, get_manager
from aiida.orm import AbstractCode, InstalledCode, User

from aiida_trainspot.launch import builder
from aiida_trainspot.launch.repeats import repeats
from aiida_trainspot.results.find import campaigns
from aiida_trainspot.runtime import daemon
from aiida_trainspot.runtime.profile import verdi
from aiida_trainspot.setup import programs
from aiida_trainspot.setup.installation import cached_calculations
from aiida_trainspot.workflows.preflight import FirstLabels, Foresees
from trainspot.campaign.decisions import prepare
from trainspot.campaign.preflight import facts_of, foresee, foresee_sets
from trainspot.common import plugins
from trainspot.common.errors import InputError, TrainspotError
from trainspot.common.processes import cores
from trainspot.common.text import counted
from trainspot.config.models import engine_sections
from trainspot.engine import Remark

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from trainspot.config.load import Loaded
    from trainspot.config.models import Campaign
    from trainspot.data.dataset import Dataset
    from trainspot.engine import Program

_BYTES_PER_GB: Final = 1e9
_PACKAGES: Final = ("trainspot", "aiida-core", "aiida-lammps", "aiida-quantumespresso")


def check(
    loaded: Loaded, dataset: Dataset, *, thorough: bool = True, with_daemon: bool = True
) -> list[Remark]:
    """Check everything that a campaign needs.

    Args:
        loaded: The resolved campaign file.
        dataset: The input frames.
        thorough: Also run checks that take seconds: slow programs and the initial frames.
        with_daemon: Also check the daemon and the broker.
    """
    campaign = loaded.campaign
    remarks = [*(_daemon() if with_daemon else ()), *_caching()]
    codes: dict[str, AbstractCode] = {}
    for stage in builder.STAGES:
        try:
            codes[stage] = builder.code_of(stage, getattr(campaign, stage).code)
        except InputError as error:
            remarks.append(_error(error))
    remarks += _answers(set(codes.values()), thorough=thorough)
    remarks += _concurrency(campaign, codes)
    here = {stage for stage, code in codes.items() if code.computer.transport_type == "core.local"}
    remarks += foresee(campaign, dataset, here=here)
    remarks += _workchains(campaign, dataset, here)
    if any(remark.level == "error" for remark in remarks):
        return remarks
    return [
        *remarks,
        *_labels(campaign, _first_labels(campaign, dataset, codes["label"], thorough)),
    ]


def refuse(remarks: list[Remark]) -> None:
    """Stop at the first error.

    Raises:
        InputError: One of the remarks is an error.
    """
    errors = [remark.text for remark in remarks if remark.level == "error"]
    if errors:
        raise InputError(errors[0])


def _error(error: TrainspotError) -> Remark:
    return Remark("error", str(error))


def on_daemon() -> list[Remark]:
    """Remarks about the daemon and the broker."""
    return list(_daemon())


def _daemon() -> Iterator[Remark]:
    profile = get_manager().get_profile()
    assert profile is not None  # the commands load a profile
    if stalled := daemon.stall(profile):
        yield _error(InputError(stalled["reason"], hint=stalled["do"]))
        return
    started = psutil.Process(daemon.look(profile).pid).create_time()
    newer = [package for package in _packages() if _installed(package) > started]
    if newer:
        yield Remark(
            "warning",
            f"the daemon started before {', '.join(newer)} was installed and runs the old version; "
            f"run: {verdi(profile)} daemon restart",
        )


def _packages() -> list[str]:
    """The packages whose code the daemon runs: trainspot, AiiDA and other engines."""
    engines = {
        plugins.package_of(section.seam, name)
        for section in engine_sections().values()
        for name in plugins.names(section.seam)
    }
    return [*_PACKAGES, *sorted(engines.difference(_PACKAGES))]


def _installed(package: str) -> float:
    """Installation time of a package in seconds since the epoch; 0 without the package."""
    try:
        files = distribution(package).files or []
    except PackageNotFoundError:
        return 0.0
    records = [Path(str(file.locate())) for file in files if file.name == "RECORD"]
    return max((path.stat().st_mtime for path in records if path.is_file()), default=0.0)


def _caching() -> Iterator[Remark]:
    if get_config_option("caching.default_enabled"):
        yield Remark(
            "warning",
            "caching is on for all processes; trainspot excludes its own calcfunctions",
        )
        return
    enabled = get_config_option("caching.enabled_for") or []
    missing = [name for name in cached_calculations() if name not in enabled]
    if missing:
        names = ", ".join(name.partition(":")[2] for name in missing)
        yield Remark(
            "warning",
            f"caching is off for {names}, so an interrupted campaign would repeat these "
            "calculations; run: trainspot setup",
        )


def _answers(codes: set[AbstractCode], *, thorough: bool) -> list[Remark]:
    """A remark for every code that cannot run."""
    remarks, local = [], []
    for code in sorted(codes, key=lambda item: item.full_label):
        reason = _unreachable(code)
        if reason:
            remarks.append(_silent(code, reason))
        elif isinstance(code, InstalledCode) and code.computer.transport_type == "core.local":
            local.append(code)
    every = programs.every()
    runs = [(_program_of(code, every), Path(str(code.get_executable()))) for code in local]
    # Threads only wait for the programs.
    with ThreadPoolExecutor(cores()) as pool:
        reasons = list(pool.map(lambda run: _silence(*run, thorough=thorough), runs))
    silent = [(code, reason) for code, reason in zip(local, reasons, strict=True) if reason]
    return remarks + [_silent(code, reason) for code, reason in silent]


def _program_of(code: InstalledCode, among: Iterable[Program]) -> Program | None:
    """The program of a code, by its calculation, or by its label without a calculation."""
    for program in among:
        if program.calculation and program.calculation == code.default_calc_job_plugin:
            return program
        if not program.calculation and program.label == code.label:
            return program
    return None


def _silence(program: Program | None, path: Path, *, thorough: bool) -> str:
    if program is None or not (thorough or program.is_quick):
        return ""
    return programs.silence(program, path)


def _silent(code: AbstractCode, reason: str) -> Remark:
    hint = "run: trainspot setup" if code.computer.label == "localhost" else "see: verdi code show"
    return _error(InputError(f"code '{code.full_label}' does not answer: {reason}", hint=hint))


def _unreachable(code: AbstractCode) -> str:
    if not isinstance(code, InstalledCode):
        return ""
    user = User.collection.get_default()
    try:
        if not code.computer.is_user_configured(user):
            return f"computer '{code.computer.label}' is not configured"
        if not code.computer.is_user_enabled(user):
            return f"computer '{code.computer.label}' is disabled"
        code.validate_filepath_executable()
    except (ValidationError, NotExistent) as error:
        return str(error).splitlines()[0]
    return ""


def _concurrency(campaign: Campaign, codes: dict[str, AbstractCode]) -> Iterator[Remark]:
    holds = builder.most_concurrent()
    for stage in builder.CONCURRENT_STAGES:
        asked = getattr(campaign, stage).max_concurrent
        if asked == "auto" or stage not in codes:
            continue
        if asked > holds:
            hint = "lower it, or start more workers: verdi daemon incr"
            yield _error(
                InputError(f"{stage}.max_concurrent = {asked}: the daemon holds {holds}", hint=hint)
            )
        computer = codes[stage].computer
        is_here = computer.transport_type == "core.local"
        if is_here and computer.scheduler_type == "core.direct" and asked > cores():
            yield Remark(
                "warning",
                f"{stage}.max_concurrent = {asked}: this machine has {cores()} cores",
            )


def _workchains(campaign: Campaign, dataset: Dataset, here: Collection[str]) -> Iterator[Remark]:
    """The preflight checks of the engines' work chains, and missing work chains."""
    for stage in engine_sections():
        try:
            workchain = _workchain(campaign, stage)
        except TrainspotError as error:
            yield _error(error)
            continue
        yield from workchain.preflight(facts_of(campaign, stage, dataset, here=stage in here))


def _workchain(campaign: Campaign, stage: str) -> type[Foresees]:
    """The work chain of the engine of a stage; ``Foresees`` if it has none or no checks.

    Raises:
        InputError: The work chain does not exist, or a package is missing.
    """
    if stage == "explore" and campaign.explore.explorer.draws_from_pool:
        return Foresees
    name = f"trainspot.{stage}.{getattr(campaign, stage).engine}"
    workchain = plugins.load("aiida.workflows", name, kind="work chain")
    return workchain if issubclass(workchain, Foresees) else Foresees


def _first_labels(
    campaign: Campaign, dataset: Dataset, code: AbstractCode, thorough: bool
) -> FirstLabels:
    """The first labels of a campaign, and the resources for them."""
    make = partial(prepare, dataset, campaign)
    settings, resources = campaign.label.settings, builder.resources_of(campaign, code)
    computer = code.computer
    if computer.transport_type == "core.local" and computer.scheduler_type == "core.direct":
        asked = campaign.label.max_concurrent
        at_once = builder.concurrency(code, resources) if asked == "auto" else asked
        memory = psutil.virtual_memory().total / _BYTES_PER_GB
        return FirstLabels(settings, make, thorough, True, at_once, memory)
    memory = resources.machines * (resources.memory or math.inf)
    return FirstLabels(settings, make, thorough, False, 1, memory)


def _labels(campaign: Campaign, first: FirstLabels) -> Iterator[Remark]:
    """Number and size of the first labels, and the preflight checks of their engine."""
    workchain = _workchain(campaign, "label")
    if not first.is_thorough:
        yield from workchain.preflight_labels(first)
        if campaigns(1):
            yield from repeats(campaign, first.frames)
        return
    try:
        prepared = first.prepared
    except TrainspotError as error:
        yield _error(error)
        return
    yield from foresee_sets(campaign, prepared)
    frames = first.frames
    if not len(frames):
        return
    few, many = int(frames.n_atoms.min()), int(frames.n_atoms.max())
    atoms = f"{few} to {counted(many, 'atom')}" if few < many else counted(many, "atom")
    yield Remark("note", f"{counted(len(frames), 'frame')} of {atoms} will be labelled first")
    yield from repeats(campaign, frames)
    yield from workchain.preflight_labels(first)
