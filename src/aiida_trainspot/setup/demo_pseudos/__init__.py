"""Pseudopotentials of demonstration quality, generated with ld1.x.

Norm-conserving (Troullier-Martins), scalar relativistic, PBE, local part d. The inputs beside
this file are our own. They are good enough for demonstrations with real DFT (lattice constants
within 1 % of PBE's). For research use SSSP or another tested library.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final

from trainspot.common.errors import InputError, RunError

FAMILY: Final = "trainspot-demonstration"
"""Label of the family that ``trainspot setup`` generates."""

CUTOFFS: Final[Mapping[str, tuple[float, float]]] = {
    "Al": (16.0, 64.0),
    "C": (50.0, 200.0),
    "Si": (16.0, 64.0),
}
"""(ecutwfc, ecutrho) in Ry: lattice constants within 0.2 % of those of converged cutoffs."""

_SECONDS: Final = 120
_DATES: Final = (
    (re.compile(r"(Generation date:).*"), r"\1 not kept"),
    (re.compile(r'(date=")[^"]*'), r"\1not kept"),
)


def generate(element: str, ld1_command: str | Sequence[str], directory: Path | str) -> Path:
    """Make the pseudopotential of an element.

    The same ld1.x gives the same bytes on any day, so that AiiDA identifies the file.

    Args:
        element: Symbol of the element; a key of ``CUTOFFS``.
        ld1_command: How to call ld1.x, such as ``ld1.x``.
        directory: Existing folder for the file.

    Returns:
        Path of ``<element>.upf``.

    Raises:
        InputError: There is no input for this element.
        RunError: ld1.x is missing, failed, or wrote no file.
    """
    if element not in CUTOFFS:
        raise InputError(
            f"no demonstration pseudopotential of {element}", hint=f"there are {', '.join(CUTOFFS)}"
        )
    command = shlex.split(ld1_command) if isinstance(ld1_command, str) else list(ld1_command)
    text = files(__package__).joinpath(f"{element}.ld1.in").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{element}.upf"
        try:
            process = subprocess.run(  # noqa: S603  (the user's own ld1.x)
                command,
                input=text,
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RunError(f"ld1.x does not answer: {error}", where=shlex.join(command)) from error
        if process.returncode or not path.is_file():
            last = (process.stderr or process.stdout).strip().rpartition("\n")[2]
            raise RunError(f"ld1.x made no pseudopotential: {last}", where=shlex.join(command))
        content = path.read_text(encoding="utf-8")
    for pattern, without in _DATES:
        content = pattern.sub(without, content)
    target = Path(directory) / f"{element}.upf"
    target.write_text(content, encoding="utf-8")
    return target
