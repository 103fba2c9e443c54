"""The programs of a campaign on this machine: their paths, and whether they answer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aiida_trainspot.setup.finding import Finding
from trainspot.common import plugins, processes
from trainspot.common.errors import RunError, TrainspotError
from trainspot.config.models import engine_sections
from trainspot.engine import Program
from trainspot.label import quantumespresso

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trainspot.engine import Engine

_TIME_LIMIT: Final = 120.0
_INSTALL_LIMIT: Final = 900.0
QE_FOLDER: Final = "quantum-espresso"
# Interpreters for which the qepy wheel exists.
_QEPY_PYTHONS: Final = ("3.11", "3.12")


PW: Final = quantumespresso.PW
LD1: Final = Program("ld1", "ld1.x", probe=(), says="Program LD1")
OWN: Final = Program("trainspot", "trainspot", "trainspot.evaluate", "trainspot", says="Usage")
"""Our command line, which evaluates, and which runs engines without a separate program."""


@dataclass(frozen=True)
class Wanted:
    """A program that an engine runs.

    Attributes:
        program: The program.
        remedy: How to install the program, if it is missing.
    """

    program: Program
    remedy: str = ""


@dataclass(frozen=True)
class Bringer:
    """How a program is installed into our own folder.

    Attributes:
        install: Takes the folder, returns the path of the executable; raises ``RunError``.
        source: The source of the program.
    """

    install: Callable[[Path], Path]
    source: str


def engines() -> tuple[list[type[Engine]], list[Finding]]:
    """All usable engines, and findings about engines that lack a package."""
    usable: list[type[Engine]] = []
    unusable: list[Finding] = []
    for section in engine_sections().values():
        for name in plugins.names(section.seam):
            try:
                engine = section.plugin(name)
                engine.program()
            except TrainspotError as error:
                unusable.append(Finding(name, "missing", error.what, error.hint))
            except Exception as error:
                package = plugins.package_of(section.seam, name)
                if package == plugins.OURS:
                    raise
                # An engine of others must not stop campaigns without it.
                what = f"its program() raised {type(error).__name__}: {error}"
                unusable.append(Finding(name, "missing", what, f"see the package {package}"))
            else:
                usable.append(engine)
    return usable, unusable


def wanted(of: Iterable[type[Engine]]) -> list[Wanted]:
    """The programs of engines, each once, slow programs last, and then our own program."""
    by_label: dict[str, Wanted] = {}
    for engine in of:
        if (program := engine.program()) is not None:
            remedy = program.remedy or engine.missing(program.executable).hint
            by_label.setdefault(program.label, Wanted(program, remedy))
    ordered = sorted(by_label.values(), key=lambda entry: not entry.program.is_quick)
    return [*ordered, Wanted(OWN)]


def every() -> list[Program]:
    """The programs of all installed engines, and our own program."""
    return [entry.program for entry in wanted(engines()[0])]


def locate(program: Program, home: Path) -> Path | None:
    """The executable: beside this Python for Python programs, else on PATH or in our folder."""
    if program.module:
        if find_spec(program.module) is None:
            return None
        path = Path(sys.executable).parent / program.executable
        return path if path.is_file() else _on_path(program.executable)
    own = qe_folder(home) / "bin" / program.executable
    return _on_path(program.executable) or (own if own.is_file() else None)


def silence(program: Program, executable: Path) -> str:
    """Why a program does not answer; empty if it does."""
    environment = os.environ | processes.environment(threads=1)
    with tempfile.TemporaryDirectory() as folder:
        try:
            process = subprocess.run(  # noqa: S603  (the program the user wants to run)
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
    # pw.x without input prints its header and ends with an error, so its status is ignored.
    if program.probe and process.returncode != 0:
        return _last_line(process.stderr) or f"exit status {process.returncode}"
    if program.says.encode() not in process.stdout + process.stderr:
        return _last_line(process.stderr or process.stdout) or "no output"
    return ""


def qe_folder(home: Path) -> Path:
    """Folder of our own Quantum ESPRESSO."""
    return home / QE_FOLDER


def install_qe(home: Path) -> Path:
    """Install pw.x and ld1.x from the qepy wheel into a separate environment.

    The environment is necessary because the wheel needs numpy < 2. Wrapper scripts have the names
    of the programs.

    Returns:
        The path of pw.x.

    Raises:
        RunError: There is no suitable Python, or pip failed.
    """
    python = _python_for_qepy()
    folder = qe_folder(home)
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _call([python, "-m", "venv", str(folder)])
    try:
        # The wheel does not declare that it needs numpy 1.
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


BRINGERS: Final[Mapping[str, Bringer]] = {PW.label: Bringer(install_qe, "qepy wheel")}
"""Programs that we can install, by label."""


def _python_for_qepy() -> str:
    if f"{sys.version_info.major}.{sys.version_info.minor}" in _QEPY_PYTHONS:
        return sys.executable
    for version in _QEPY_PYTHONS:
        interpreter = shutil.which(f"python{version}")
        if interpreter is None:
            continue
        try:
            _call([interpreter, "-c", "import venv"])  # a shim on PATH may not lead to a Python
        except RunError:
            continue
        return interpreter
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
    path = shutil.which(name)
    return Path(path).absolute() if path else None


def _last_line(output: bytes) -> str:
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else ""
