"""``trainspot setup``: find or make everything that a campaign on this machine needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiida_trainspot.runtime import profile as profiles
from aiida_trainspot.setup import codes, installation, programs, pseudos
from aiida_trainspot.setup.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Finding", "Options", "setup"]


@dataclass(frozen=True)
class Options:
    """Options of the set-up.

    Attributes:
        profile: Name of an existing profile; ``None`` for the profile of trainspot.
        workers: Daemon workers; ``None`` for the default.
        install: Whether pip may install Quantum ESPRESSO.
        demo_pseudos: Generate pseudopotentials of demonstration quality instead of SSSP.
        sssp_archive: Downloaded SSSP archive, for machines without network.
    """

    profile: str | None = None
    workers: int | None = None
    install: bool = True
    demo_pseudos: bool = False
    sssp_archive: Path | None = None


def setup(options: Options) -> Iterator[Finding]:
    """Set everything up and yield one finding after another; a second run changes nothing.

    Raises:
        MissingExtraError: AiiDA is not installed.
        UnknownNameError: The profile that the user named does not exist.
        RunError: The database does not answer, or the daemon does not start.
    """
    home = profiles.home()
    name = profiles.choose(options.profile, create=True)
    profile, finding = installation.make_profile(name, may_make=options.profile is None)
    yield finding
    profiles.open_storage(profile)
    # The daemon reads the configuration when it starts, so caching comes first.
    caching = installation.enable_caching(profile)
    yield caching
    computer, finding = installation.make_computer()
    yield finding
    yield from codes.make_codes(computer, home, install=options.install)
    if options.demo_pseudos:
        pw = codes.executable(programs.PW, computer)
        yield pseudos.generate_demo_family(pseudos.find_ld1(pw))
    else:
        yield pseudos.install_sssp(profile.name, options.sssp_archive)
    workers = options.workers or installation.default_workers()
    yield installation.start_daemon(profile, workers, restart=caching.state == "made")
