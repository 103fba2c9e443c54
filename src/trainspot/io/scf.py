"""Outputs of electronic-structure programs: a step whose SCF cycle did not converge is not a label.

One rule for all programs: such steps are left out and counted. Each program marks them in its own
way in the text of the output; for a program without such a mark a note says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import ase.io
from ase import Atoms
from ase.io.vasp_parsers.vasp_outcar_parsers import outcarchunks

from trainspot.common.errors import InputError
from trainspot.common.text import counted
from trainspot.io.atoms import LOG

_FAILED, _LEARNED = "SCF cycle did not converge", "is of a machine-learned force field, not DFT"


@dataclass(frozen=True)
class Rule:
    """Marks in the text of an output that show which steps converged.

    Attributes:
        failed: Mark of a step that did not converge.
        step: Start of a step; empty if an output is one step.
        result: Mark of every step that becomes a structure in ASE; empty for all steps.
        converged: Mark of every converged step; empty if there is none.
        again: Mark of a cycle that starts again within its step; empty if there is none.
    """

    failed: str
    step: str = ""
    result: str = ""
    converged: str = ""
    again: str = ""


_PWX_RESULTS = (
    "!    total energy|Forces acting on atoms|total   stress|Magnetic moment per site"
    "|End of (self-consistent|band structure) calculation"
)
RULES: Final[dict[str, Rule]] = {
    "espresso-out": Rule(
        r"convergence NOT achieved", r"^.*(Program PWSCF|ATOMIC_POSITIONS)", _PWX_RESULTS
    ),
    "gpaw-out": Rule(r"(?i)did not converge|scf not converged", r"(?i)^positions:$"),
    "aims-output": Rule(
        r"(?i)(Self-consistency cycle|SCF) not (yet )?converged",
        r"Begin self-consistency loop: (Initialization|Re-initialization)",
        converged=r"Self-consistency cycle converged",
        again=r"restarting mixer to attempt",
    ),
    "abinit-out": Rule(r"(?i)was not enough scf cycles to converge"),
    "castep-castep": Rule(r"(?i)max\. SCF cycles performed but system has not reached"),
    "gamess-us-out": Rule(r"(?i)SCF IS UNCONVERGED|SCF DID NOT CONVERGE"),
    "gaussian-out": Rule(r"Convergence failure|Convergence criterion not met"),
    "nwchem-out": Rule(r"(?i)calculation failed to converge"),
    "orca-output": Rule(
        r"(?i)SCF NOT CONVERGED|wavefunction (is )?not (fully )?converged"
        r"|SCF has not converged"
    ),
    "exciting": Rule(r"(?i)Reached self-consistent loops maximum"),
}
"""By name of the format in ASE; the formats of VASP have readers below."""

_SILENT: Final = frozenset(
    {"abinit-gsr", "acemolecule-out", "castep-geom", "castep-md", "crystal", "dacapo-text",
     "dmol-arc", "elk", "gpw", "nomad-json", "octopus-in", "onetep-out", "qbox",
     "turbomole-gradient", "siesta-xv"}
)  # fmt: skip


def images(path: Path, form: str, read: Callable[..., Any], where: str) -> list[Atoms]:
    """The steps of an output that converged.

    Args:
        path: The file.
        form: ASE's name of its format.
        read: Reads the file with ASE.
        where: The name of the file in messages.

    Raises:
        InputError: No step converged, or it is unclear which of several steps converged.
    """
    if form == "vasp-out":
        structures, left_out = _outcar(path, where)
    elif form == "vasp-xml":
        structures, left_out = _vasprun(path, read, where)
    elif form in RULES:
        structures, left_out = _by_rule(path, RULES[form], read, where)
    else:
        structures, left_out = _listed(read(path)), {}
        if form in _SILENT and any(atoms.calc is not None for atoms in structures):
            LOG.warning(
                "%s: a file of this kind (%s) does not show whether its SCF cycles converged: "
                "check them before its numbers become labels", where, form
            )  # fmt: skip
    total = len(structures) + sum(map(len, left_out.values()))
    for reason, steps in left_out.items():
        if not structures:
            hint = "give a calculation that converged"
            what = f"no label in {counted(total, 'step')}: {reason}"
            raise InputError(what, where=where, hint=hint)
        LOG.warning(
            "%s: %s of %s steps left out (step %s): %s",
            where, len(steps), total, _ranges(steps), reason,
        )  # fmt: skip
    return structures


def _ranges(steps: Sequence[int]) -> str:
    shown = ", ".join(map(str, steps[:5]))
    return shown + (" …" if len(steps) > 5 else "")


def _listed(structures: Any) -> list[Atoms]:
    return list(structures) if isinstance(structures, list) else [structures]


def _by_rule(
    path: Path, rule: Rule, read: Callable[..., Any], where: str
) -> tuple[list[Atoms], dict[str, list[int]]]:
    text = path.read_text(encoding="utf-8", errors="replace")
    pieces = _pieces(text, rule)
    bad = [place for place, piece in enumerate(pieces, start=1) if _did_not(piece, rule)]
    if not bad:
        return _listed(read(path)), {}
    if len(bad) == len(pieces):  # no step is usable, so ASE need not read the file
        return [], {_FAILED: bad}
    structures = _listed(read(path))
    good = [place for place, piece in enumerate(pieces, start=1)
            if re.search(rule.result, piece)]  # fmt: skip
    if len(structures) != len(good):
        raise InputError(
            f"{len(bad)} of its SCF cycles did not converge, and it is unclear in which steps",
            where=where,
            hint="give a file without the steps that did not converge",
        )
    converged = [atoms for atoms, place in zip(structures, good, strict=True) if place not in bad]
    return converged, {_FAILED: bad}


def _pieces(text: str, rule: Rule) -> list[str]:
    """The text of each step, without the text before the first step."""
    if not rule.step:
        return [text]
    starts = [mark.start() for mark in re.finditer(rule.step, text, re.MULTILINE)]
    pieces: list[str] = []
    goes_on = False
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        if goes_on:
            pieces[-1] += text[start:end]
        else:
            pieces.append(text[start:end])
        goes_on = bool(rule.again) and re.search(rule.again, text[start:end]) is not None
    return pieces or [text]


def _did_not(piece: str, rule: Rule) -> bool:
    if rule.converged and re.search(rule.converged, piece):
        return False
    return re.search(rule.failed, piece) is not None


# ── VASP ──────────────────────────────────────────────────────────────────────
def _outcar(path: Path, where: str) -> tuple[list[Atoms], dict[str, list[int]]]:
    structures: list[Atoms] = []
    left_out: dict[str, list[int]] = {}
    text = path.read_text(encoding="utf-8", errors="replace")
    limit = re.search(r"NELM\s*=\s*(\d+)", text)
    tells = "aborting loop" in text
    unknown = False
    with path.open(encoding="utf-8", errors="replace") as handle:
        for number, chunk in enumerate(outcarchunks(handle), start=1):
            block = "".join(chunk.lines)
            reason, is_certain = _reason(block, int(limit.group(1)) if limit else 0, tells=tells)
            unknown |= not is_certain
            if reason:
                left_out.setdefault(reason, []).append(number)
            else:
                structures.append(chunk.build())
    if unknown and structures:
        LOG.warning("%s: it does not show whether its SCF cycles converged", where)
    return structures, left_out


def _reason(block: str, limit: int, *, tells: bool) -> tuple[str, bool]:
    """Why a step of an OUTCAR is not a label, or nothing; and whether this is certain."""
    if re.search(r"\(ML\)|ML FREE ENERGIE|energy\s+ML\s+TOTEN", block):
        return _LEARNED, True
    if re.search(r"aborting loop because EDIFF is reached", block):
        return "", True
    iterations = [int(n) for n in re.findall(r"Iteration\s+\d+\(\s*(\d+)\)", block)]
    if tells or re.search("EDIFF was not reached", block) or (limit and limit in iterations):
        return _FAILED, True
    return "", False


def _vasprun(
    path: Path, read: Callable[..., Any], where: str
) -> tuple[list[Atoms], dict[str, list[int]]]:
    """Cut out steps that did not converge or have no SCF cycle, and let ASE read the rest."""
    text = path.read_text(encoding="latin-1")  # keeps every byte
    limit = re.search(r'name="NELM">\s*(\d+)', text)
    left_out: dict[str, list[int]] = {}
    number = 0

    def replacement(step: re.Match[str]) -> str:
        nonlocal number
        number += 1
        cycles = len(re.findall(r"<scstep>", step.group()))
        reason = _FAILED if limit and cycles >= int(limit.group(1)) else ""
        reason = reason or ("" if cycles else _LEARNED)
        if reason:
            left_out.setdefault(reason, []).append(number)
        return "" if reason else step.group()

    rest = re.sub(r"<calculation>.*?</calculation>", replacement, text, flags=re.DOTALL)
    if left_out and number == sum(map(len, left_out.values())):
        return [], left_out
    structures = _listed(read(path, rest) if left_out else read(path))
    if limit is None and structures:
        LOG.warning("%s: it does not show whether its SCF cycles converged", where)
    return structures, left_out


def default_read(path: Path, form: str) -> Callable[..., Any]:
    """ASE's reader of a format, for a file or for a changed text of it."""
    options: dict[str, Any] = {"non_convergence_ok": True} if form == "aims-output" else {}

    def read(file: Path, text: str | None = None) -> Any:
        if text is None:
            return ase.io.read(
                str(file.absolute()), index=":", format=form, do_not_split_by_at_sign=True,
                **options,
            )  # fmt: skip
        with TemporaryDirectory() as folder:
            copy = Path(folder) / path.name
            copy.write_text(text, encoding="latin-1")
            return read(copy)

    return read
