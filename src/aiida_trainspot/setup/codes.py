"""AiiDA codes on this machine for the programs that are found or can be brought."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from aiida_trainspot.setup import programs
from aiida_trainspot.setup.finding import Finding
from trainspot.common.errors import RunError
from trainspot.common.processes import THREADS

if TYPE_CHECKING:
    from aiida.orm import AbstractCode, Computer

    from aiida_trainspot.setup.programs import Program

# Jobs run side by side, one a core: each must keep to its own.
_PREPEND: Final = "\n".join(f"export {name}=1" for name in THREADS)


def make_code(program: Program, computer: Computer, home: Path, *, install: bool) -> Finding:
    """The code of a program: the existing one if its executable still stands, else a new one.

    Args:
        program: What to look for.
        computer: Where.
        home: Our own place, for what we install.
        install: Whether Quantum ESPRESSO may be brought if it is not there.
    """
    item = f"{program.label}@{computer.label}"
    code = _existing(item)
    if code is not None and Path(str(code.get_executable())).is_file():
        return Finding(item, "found", str(code.get_executable()))
    path, note = programs.locate(program, home), ""
    if path is None and program is programs.PW and install:
        try:
            path, note = programs.install_qe(home), " (qepy wheel)"
        except RunError as error:
            return Finding(item, "missing", error.what, error.hint)
    if path is None:
        return Finding(item, "missing", f"no {program.executable}", _remedy(program))
    if reason := programs.silence(program, path):
        return Finding(item, "missing", f"{path} does not answer: {reason}", _remedy(program))
    if code is not None:  # its executable is gone; its name is needed, its node is provenance
        code.label = f"{program.label}-{code.pk}"
        code.is_hidden = True
    _store(program, computer, path)
    return Finding(item, "made", f"{path}{note}")


def executable(program: Program, computer: Computer) -> Path | None:
    """The executable of the code of a program, if there is one."""
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

    # Ours and the wheel are serial programs; a pw.x of the user's may be parallel: options decide.
    ours = bool(program.module) or programs.QE_FOLDER in path.parts
    InstalledCode(
        label=program.label,
        description=f"{program.executable}, found by trainspot setup",
        computer=computer,
        filepath_executable=str(path),
        default_calc_job_plugin=program.plugin,
        prepend_text=_PREPEND,
        with_mpi=False if ours else None,
    ).store()


def _remedy(program: Program) -> str:
    if program is programs.PW:
        return "install Quantum ESPRESSO, put pw.x on PATH and run trainspot setup again"
    return f"run: pip install 'trainspot[{program.extra}]'" if program.extra else ""
