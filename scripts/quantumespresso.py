"""Find or bring pw.x and ld1.x for the tests; prints ``NAME=path`` for ``env``.

Usage: python scripts/quantumespresso.py FOLDER

A program that the environment names or PATH has is used; else both come from the qepy wheel, into
FOLDER, once.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from aiida_trainspot.setup import programs
from trainspot.common.errors import RunError

VARIABLES = {"TRAINSPOT_PWX": programs.PW, "TRAINSPOT_LD1X": programs.LD1}


def assignments(home: Path) -> list[str]:
    """``NAME=path`` of each program.

    Raises:
        RunError: A program is not there and cannot be brought.
    """
    found = {}
    for variable, program in VARIABLES.items():
        path = os.environ.get(variable) or programs.locate(program, home)
        if path is None:
            path = programs.install_qe(home).with_name(program.executable)
        if reason := programs.silence(program, Path(path)):
            raise RunError(f"{program.executable} does not answer: {reason}", where=str(path))
        found[variable] = path
    return [f"{variable}={path}" for variable, path in found.items()]


if __name__ == "__main__":
    try:
        click.echo("\n".join(assignments(Path(sys.argv[1]).resolve())))
    except RunError as error:
        raise SystemExit(str(error)) from error
