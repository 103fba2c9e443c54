"""Steps of the set-up in AiiDA: profile, caching, computer and daemon; all can be repeated."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aiida_trainspot.setup import programs
from aiida_trainspot.setup.finding import Finding
from trainspot.common import processes
from trainspot.common.errors import UnknownNameError

if TYPE_CHECKING:
    from aiida.manage.configuration.profile import Profile
    from aiida.orm import Computer

COMPUTER: Final = "localhost"
POLL_INTERVAL: Final = 0.5
"""Seconds between two checks of the jobs on this machine."""


def make_profile(name: str, *, may_make: bool) -> tuple[Profile, Finding]:
    """Load the profile, or make it with SQLite and the ZeroMQ broker, which need no service.

    Raises:
        UnknownNameError: The user named a profile that does not exist.
    """
    from aiida import load_profile
    from aiida.manage import get_config
    from aiida.manage.configuration import create_profile
    from aiida.plugins import BrokerFactory

    config = get_config(create=True)
    if name in config.profile_names:
        profile = load_profile(name, allow_switch=True)
        return profile, Finding("profile", "found", f"{name} in {config.dirpath}")
    if not may_make:
        raise UnknownNameError("profile", name, config.profile_names)
    create_profile(
        config,
        name=name,
        email="trainspot@localhost",
        storage_backend="core.sqlite_dos",
        storage_config={},
        broker_backend="core.zeromq",
        broker_config=BrokerFactory("core.zeromq").get_default_config(),
    )
    config.set_option("runner.poll.interval", 1, scope=name)
    config.set_option("daemon.default_workers", default_workers(), scope=name)
    # The default of two seconds is too short on a loaded machine.
    config.set_option("daemon.timeout", 20, scope=name)
    if config.default_profile_name is None:
        config.set_default_profile(name)
    config.store()
    return load_profile(name, allow_switch=True), Finding(
        "profile", "made", f"{name} in {config.dirpath}"
    )


def cached_calculations() -> list[str]:
    """Identifiers of the calculations that may come from the cache.

    These are the calculations of the engines' programs and those named ``trainspot.<name>``.
    """
    from aiida.common.exceptions import EntryPointError
    from aiida.plugins import CalculationFactory

    installed = entry_points(group="aiida.calculations")
    ours = [point.name for point in installed if point.name.startswith("trainspot.")]
    identifiers = []
    of_programs = [program.calculation for program in programs.every() if program.calculation]
    for name in sorted({*of_programs, *ours}):
        try:
            CalculationFactory(name)
        except (
            EntryPointError
        ):  # its extra is not installed, and AiiDA refuses names that it cannot load
            continue
        identifiers.append(f"aiida.calculations:{name}")
    return identifiers


def enable_caching(profile: Profile) -> Finding:
    """Switch caching on for named calculations, and keep the user's other names."""
    from aiida.manage import get_config

    config = get_config()
    before = list(config.get_option("caching.enabled_for", scope=profile.name) or [])
    missing = [name for name in cached_calculations() if name not in before]
    detail = f"{len(cached_calculations())} calculations"
    if not missing:
        return Finding("caching", "found", detail)
    config.set_option("caching.enabled_for", [*before, *missing], scope=profile.name)
    config.store()
    return Finding("caching", "made", detail)


def make_computer() -> tuple[Computer, Finding]:
    """The computer ``localhost`` without a scheduler and with short polling intervals."""
    from aiida.common.exceptions import NotExistent
    from aiida.manage import get_config
    from aiida.orm import Computer, User, load_computer

    try:
        computer = load_computer(COMPUTER)
    except NotExistent:
        folder = Path(get_config().dirpath) / "scratch"
        computer = Computer(
            label=COMPUTER,
            hostname="localhost",
            description="this machine, without a scheduler",
            transport_type="core.local",
            scheduler_type="core.direct",
            workdir=str(folder),
        ).store()
        computer.set_minimum_job_poll_interval(POLL_INTERVAL)
        computer.set_default_mpiprocs_per_machine(1)
        state: Any = "made"
    else:
        state = "found"
    if not computer.is_user_configured(User.collection.get_default()):
        # A login shell for every poll would take longer than the poll itself.
        computer.configure(safe_interval=0.0, use_login_shell=False)
    return computer, Finding("computer", state, f"{COMPUTER}, {computer.scheduler_type}")


def start_daemon(profile: Profile, workers: int, *, restart: bool) -> Finding:
    """Start the daemon, or restart it if its settings changed.

    Raises:
        RunError: The daemon does not start.
    """
    from aiida_trainspot.runtime import daemon
    from aiida_trainspot.runtime.processes import workers_of

    before = daemon.look(profile)
    if before.state is daemon.State.IMPOSSIBLE:
        what = f"profile '{profile.name}' has no broker"
        return Finding("daemon", "missing", what, before.remedy)
    if before.runs and restart:
        daemon.stop(profile)
    started = daemon.start(profile, workers)
    count = workers if started else len(workers_of(profile))
    detail = f"{count} worker{'s' if count != 1 else ''}"
    if started and before.state in (daemon.State.DIED, daemon.State.FOREIGN):
        detail += f"; {before.what}"
    return Finding("daemon", "made" if started else "found", detail)


def default_workers() -> int:
    """Two workers, so that one may fail; one worker on a machine with one core."""
    return min(2, processes.cores())
