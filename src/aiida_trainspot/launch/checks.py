"""Everything about a campaign that can be known before anything is spent, one line each."""

from __future__ import annotations

import math
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil
from aiida.common.exceptions import NotExistent, ValidationError
from aiida.manage import get_config_option, get_manager
from aiida.orm import AbstractCode, InstalledCode, User

from aiida_trainspot.launch import builder
from aiida_trainspot.launch.repeats import repeats
from aiida_trainspot.runtime import daemon
from aiida_trainspot.runtime.profile import campaigns
from aiida_trainspot.setup import programs, pseudos
from aiida_trainspot.setup.installation import cached_calculations, cores
from trainspot.campaign.loop import prepare
from trainspot.campaign.preflight import (
    Remark,
    foresee,
    foresee_electrons,
    foresee_sets,
    foresees_electrons,
)
from trainspot.common.errors import InputError, TrainspotError
from trainspot.common.text import counted
from trainspot.label.pw_memory import memory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainspot.config.load import Loaded
    from trainspot.config.models import Campaign
    from trainspot.data.dataset import Dataset

_BYTES_PER_GB: Final = 1e9
_PACKAGES: Final = ("trainspot", "aiida-core", "aiida-lammps", "aiida-quantumespresso")


def check(
    loaded: Loaded, dataset: Dataset, *, thorough: bool = True, with_daemon: bool = True
) -> list[Remark]:
    """Look at everything a campaign needs.

    Args:
        loaded: The resolved campaign file.
        dataset: The frames it starts from.
        thorough: Also what takes seconds: start slow programs, look at the initial frames.
        with_daemon: Also the daemon and the broker.
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
    here = "label" in codes and codes["label"].computer.transport_type == "core.local"
    remarks += foresee(campaign, dataset, here=here)
    if campaign.label.engine == "quantumespresso":
        remarks += _pseudopotentials(campaign, dataset)
    if any(remark.level == "error" for remark in remarks):
        return remarks
    if thorough:
        return [*remarks, *_labels(campaign, dataset, codes["label"])]
    if foresees_electrons(campaign):
        remarks += _electrons(campaign, prepare(dataset, campaign).unlabelled())
    if campaigns(1):
        remarks += repeats(campaign, prepare(dataset, campaign).unlabelled())
    return remarks


def refuse(remarks: list[Remark]) -> None:
    """Stop at the first error.

    Raises:
        InputError: There is one.
    """
    errors = [remark.text for remark in remarks if remark.level == "error"]
    if errors:
        raise InputError(errors[0])


def _error(error: TrainspotError) -> Remark:
    return Remark("error", str(error))


def on_daemon() -> list[Remark]:
    """What there is to say of the daemon and the broker."""
    return list(_daemon())


def _daemon() -> Iterator[Remark]:
    profile = get_manager().get_profile()
    assert profile is not None  # the commands load it
    if stalled := daemon.stall(profile):
        yield _error(InputError(stalled["reason"], hint=stalled["do"]))
        return
    started = psutil.Process(daemon.look(profile).pid).create_time()
    newer = [package for package in _PACKAGES if _installed(package) > started]
    if newer:
        yield Remark(
            "warning",
            f"the daemon started before {', '.join(newer)} was installed and runs the old version; "
            "run: verdi daemon restart",
        )


def _installed(package: str) -> float:
    """When a package was installed, in seconds of the epoch; 0 if it is not."""
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
    """One line for every code that cannot be run."""
    remarks, local = [], []
    for code in sorted(codes, key=lambda item: item.full_label):
        reason = _unreachable(code)
        if reason:
            remarks.append(_silent(code, reason))
        elif isinstance(code, InstalledCode) and code.computer.transport_type == "core.local":
            local.append(code)
    # Threads only wait for the programs.
    with ThreadPoolExecutor(cores()) as pool:
        reasons = pool.map(lambda pair: _silence(*pair), [(_facts(c), thorough) for c in local])
        found = zip(local, list(reasons), strict=True)
    return remarks + [_silent(code, reason) for code, reason in found if reason]


def _facts(code: InstalledCode) -> tuple[str, Path]:
    return code.default_calc_job_plugin or "", Path(str(code.get_executable()))


def _silence(facts: tuple[str, Path], thorough: bool) -> str:
    plugin, path = facts
    program = next((p for p in programs.CODES if p.plugin == plugin), None)
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


def _pseudopotentials(campaign: Campaign, dataset: Dataset) -> Iterator[Remark]:
    settings = campaign.label.settings.model_dump()
    name = str(settings["pseudo_family"])
    family = pseudos.family(name)
    if family is None:
        hint = "run: trainspot setup, or aiida-pseudo install"
        yield _error(InputError(f"no pseudopotential family '{name}'", hint=hint))
        return
    known = set(family.elements)
    for element in dataset.species:
        if element not in known:
            hint = "choose or install a label.pseudo_family with this element"
            yield _error(
                InputError(f"element {element} has no pseudopotential in '{name}'", hint=hint)
            )


def _labels(campaign: Campaign, dataset: Dataset, code: AbstractCode) -> Iterator[Remark]:
    """How many labels come first, how large they are, and whether their memory is there."""
    try:
        prepared = prepare(dataset, campaign)
    except TrainspotError as error:
        yield _error(error)
        return
    yield from foresee_sets(campaign, prepared)
    frames = prepared.unlabelled()
    if not len(frames):
        return
    few, many = int(frames.n_atoms.min()), int(frames.n_atoms.max())
    atoms = f"{few} to {counted(many, 'atom')}" if few < many else counted(many, "atom")
    yield Remark("note", f"{counted(len(frames), 'frame')} of {atoms} will be labelled first")
    yield from repeats(campaign, frames)
    if campaign.label.engine == "quantumespresso":
        yield from _electrons(campaign, frames)
        yield from _memory(campaign, frames, code)


def _electrons(campaign: Campaign, frames: Dataset) -> Iterator[Remark]:
    """Whether fixed occupations suit the pseudopotentials' electrons."""
    settings: Any = campaign.label.settings
    family: Any = pseudos.family(settings.pseudo_family)
    known = set(family.elements) if family else set()
    valences = {s: float(family.get_pseudo(s).z_valence) for s in frames.species if s in known}
    yield from foresee_electrons(campaign, frames, valences)


def _memory(campaign: Campaign, frames: Dataset, code: AbstractCode) -> Iterator[Remark]:
    """Memory of the most demanding label, and whether the machine has as much."""
    settings: Any = campaign.label.settings
    family: Any = pseudos.family(settings.pseudo_family)  # it is there: checked before
    species = frames.species
    valences = {one: float(family.get_pseudo(one).z_valence) for one in species}
    if settings.ecutwfc is None:
        cutoffs = {s: family.get_recommended_cutoffs(elements=(s,), unit="Ry") for s in species}
        settings = settings.with_cutoffs(cutoffs)
    most, n_atoms, impossible = 0.0, 0, Counter[str]()
    for frame in frames:
        try:
            needed = memory(frame, settings, valences)
        except InputError as error:
            impossible[str(error)] += 1
            continue
        most, n_atoms = max((most, n_atoms), (needed, len(frame)))
    for reason, count in impossible.items():
        yield Remark("warning", f"{count} of {len(frames)} frames cannot be labelled: {reason}")
    yield Remark(
        "note", f"the largest label, {counted(n_atoms, 'atom')}, needs about {most:.2g} GB"
    )
    resources = builder.resources_of(campaign, code)
    asked = campaign.label.max_concurrent
    is_here = code.computer.transport_type == "core.local"
    if is_here and code.computer.scheduler_type == "core.direct":
        at_once = builder.concurrency(code, resources) if asked == "auto" else asked
        there = psutil.virtual_memory().total / _BYTES_PER_GB
        hint = "lower label.max_concurrent or the size of the supercells"
        where = f"this machine has {there:.2g} GB"
    else:
        at_once, there = 1, resources.machines * (resources.memory or math.inf)
        hint = "ask for more nodes or memory under resources"
        where = f"the job has {there:.2g} GB"
    at_once = min(at_once, len(frames))
    if at_once * most > there:
        text = f"{counted(at_once, 'label')} at the same time may need {at_once * most:.2g} GB"
        yield Remark("warning", f"{text}: {where}; {hint}")
