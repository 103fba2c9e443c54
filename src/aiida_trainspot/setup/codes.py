"""AiiDA codes on this machine for programs that exist or can be installed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from aiida_trainspot.setup import programs
from aiida_trainspot.setup.finding import Finding
from trainspot.common.errors import RunError
from trainspot.common.processes import THREADS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiida.orm import AbstractCode, Computer

    from trainspot.engine import Program

# Jobs run at the same time, one on each core: a job must use one core only.
_PREPEND: Final = "\n".join(f"export {name}=1" for name in THREADS)


def make_codes(computer: Computer, home: Path, *, install: bool) -> Iterator[Finding]:
    """The codes of all programs of installed engines, and engines that lack a package.

    Args:
        computer: The computer of the codes.
        home: Our own folder, for programs that we install.
        install: Whether missing programs that we can install may be installed.
    """
    usable, unusable = programs.engines()
    for wanted in programs.wanted(usable):
        yield make_code(wanted.program, computer, home, install=install, remedy=wanted.remedy)
    yield from unusable


def make_code(
    program: Program, computer: Computer, home: Path, *, install: bool, remedy: str = ""
) -> Finding:
    """The code of a program: the existing code if its executable exists, else a new code.

    Args:
        program: What to look for.
        computer: The computer of the codes.
        home: Our own folder, for programs that we install.
        install: Whether missing programs that we can install may be installed.
        remedy: What to do if the program is missing.
    """
    item = f"{program.label}@{computer.label}"
    code = _existing(item)
    if code is not None and Path(str(code.get_executable())).is_file():
        return Finding(item, "found", str(code.get_executable()))
    path, note = programs.locate(program, home), ""
    bringer = programs.BRINGERS.get(program.label) if install else None
    if path is None and bringer is not None:
        try:
            path, note = bringer.install(home), f" ({bringer.source})"
        except RunError as error:
            return Finding(item, "missing", error.what, error.hint)
    if path is None:
        return Finding(item, "missing", f"no {program.executable}", remedy)
    if reason := programs.silence(program, path):
        return Finding(item, "missing", f"{path} does not answer: {reason}", remedy)
    if code is not None:  # without executable: free its name, and keep its node for the provenance
        code.label = f"{program.label}-{code.pk}"
        code.is_hidden = True
    _store(program, computer, path)
    return Finding(item, "made", f"{path}{note}")


def executable(program: Program, computer: Computer) -> Path | None:
    """The executable of the code of a program, if the code exists."""
    code = _existing(f"{program.label}@{computer.label}")
    return None if code is None else Path(str(code.get_executable()))


def _existing(item: str) -> AbstractCode | None:
    from aiida.common.exceptions import MultipleObjectsError, NotExistent
    from aiida.orm import load_code

    try:
        return load_code(item)
    except (NotExistent, MultipleObjectsError):
        return None


def _store(program: Program, computer: Computer, path: Path) -> None:
    from aiida.orm import InstalledCode

    # Ours and the wheel are serial; the user's pw.x may be parallel, so its options decide.
    ours = bool(program.module) or programs.QE_FOLDER in path.parts
    InstalledCode(
        label=program.label,
        description=f"{program.executable}, found by trainspot setup",
        computer=computer,
        filepath_executable=str(path),
        default_calc_job_plugin=program.calculation or None,
        prepend_text=_PREPEND,
        with_mpi=False if ours else None,
    ).store()
