"""Data sets of other programs that ASE cannot read, and how to convert them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Final

from trainspot.common.errors import InputError

_PEEK: Final = 1 << 16
_DPDATA: Final = (
    "python -c 'import dpdata, ase.io, sys; ase.io.write(sys.argv[2], [a for s in {reader} "
    'for a in s.to("ase/structure")])\' {path} NEW.extxyz'
)
_SYSTEM: Final = '[dpdata.LabeledSystem(sys.argv[1], "{form}")]'
_SUFFIXES: Final = {
    ".mcif": ("magnetic CIF", "rename it to .cif; the magnetic moments in it are not read"),
    ".npz": ("arrays of NumPy, such as MD17", "make ASE structures of them and write .extxyz"),
    ".npy": ("an array of NumPy", "make ASE structures of it and write .extxyz"),
    ".lmdb": ("an LMDB database of another program",
              "convert it to .aselmdb with its own program"),
    ".pckl": ("a pickle, of pacemaker say", "write its structures as .extxyz with ASE"),
    ".pkl": ("a pickle", "write its structures as .extxyz with ASE"),
    ".pickle": ("a pickle", "write its structures as .extxyz with ASE"),
    ".hdf5": ("HDF5 of another program", "make ASE structures of it and write .extxyz"),
    ".parquet": ("a table", "make ASE structures of it and write .extxyz"),
    ".csv": ("a table", "make ASE structures of it and write .extxyz"),
    ".pt": ("a file of PyTorch", "make ASE structures of it and write .extxyz"),
    ".pth": ("a file of PyTorch", "make ASE structures of it and write .extxyz"),
}  # fmt: skip
_DATA_ATOMS: Final = re.compile(r"^[ \t]*\d+[ \t]+atoms[ \t\r]*(#.*)?$", re.MULTILINE)
_DATA_BOX: Final = re.compile(
    r"^[ \t]*\d+[ \t]+atom[ \t]+types\b|^[^\n#]*\bxlo[ \t]+xhi\b", re.MULTILINE
)
_WITH_ASE: Final = (
    "write it as .extxyz with ASE: python -c 'import ase.io, sys; "
    'ase.io.read(sys.argv[1], format="lammps-data", atom_style="atomic", Z_of_type={{1: 29}})'
    '.write("NEW.extxyz")\' {name}'
)
_PYMATGEN: Final = (
    "convert it: python -c 'from pymatgen.core import Structure; "
    'Structure.from_file("{name}").to_ase_atoms().write("NEW.extxyz")\''
)
_PYMATGEN_SET: Final = (
    "write it as .extxyz first: structure.to_ase_atoms() of each, with REF_energy, REF_forces and "
    "REF_stress in eV and Å"
)


def check_folder(path: Path) -> None:
    """Refuse a folder; if it is a data set, say how to convert it.

    Raises:
        InputError: Always.
    """
    raws, sets = list(path.glob("type*.raw")), list(path.glob("set.*"))
    systems = [marker.parent for marker in path.glob("*/type.raw")]
    if raws or sets or systems:
        form = "deepmd/npy" if sets or systems else "deepmd/raw"
        mixed = bool(list(path.glob("set.*/real_atom_types.npy")))
        if mixed:
            reader = (
                'dpdata.MultiSystems().load_systems_from_file(sys.argv[1], fmt="deepmd/npy/mixed")'
            )
        elif systems and not (raws or sets):
            reader = '[dpdata.LabeledSystem(p, "deepmd/npy") for p in sys.argv[1:2]]'
            path = systems[0]
        else:
            reader = _SYSTEM.format(form=form)
        command = _DPDATA.format(reader=reader, path=shlex.quote(str(path)))
        raise InputError(
            "is a DeePMD system, not a file",
            where=str(path),
            hint=f"convert it with dpdata (pip install dpdata): {command}",
        )
    for name in ("vasprun.xml", "OUTCAR", "train.xyz", "dump.xyz"):
        if (path / name).is_file():
            hint = f"name a file in it: {shlex.quote(str(path / name))}"
            raise InputError("is a folder, not a file", where=str(path), hint=hint)
    raise InputError("is a folder, not a file", where=str(path), hint="name a file in it")


def check(path: Path, where: str, suffix: str) -> None:
    """Refuse a file of another program that ASE cannot read or reads as another format.

    Args:
        path: The file, unpacked.
        where: The name of the file in messages.
        suffix: The suffix of the format, in small letters.

    Raises:
        InputError: It is such a file; the message says how to convert it.
    """
    if suffix in _SUFFIXES:
        kind, hint = _SUFFIXES[suffix]
        raise InputError(f"unknown suffix '{suffix}' ({kind})", where=where, hint=hint)
    with path.open("rb") as handle:
        start = handle.read(_PEEK)
    text = start.decode("utf-8", "replace")
    refusal = _recognised(path, text, where)
    if refusal:
        raise InputError(refusal[0], where=where, hint=refusal[1])


def _recognised(path: Path, text: str, where: str) -> tuple[str, str] | None:
    if "BEGIN_CFG" in text:
        hint = "convert it with mlip convert-cfg, or write its structures as .extxyz"
        return "is a data set of MLIP (MTP), no configuration of AtomEye", hint
    if path.name.upper().startswith(("ML_AB", "ML_ABN")) and "Version" in text[:200]:
        hint = "give the OUTCAR or vasprun.xml of the calculations, or convert it with dpdata"
        return "is VASP's file of learned configurations (ML_AB)", hint
    if _DATA_ATOMS.search(text) and _DATA_BOX.search(text):
        hint = f"{_WITH_ASE.format(name=shlex.quote(where))} (1: 29 says that type 1 is copper)"
        return (
            "is LAMMPS data: the elements of its types, and its atom_style, are unknown",
            hint,
        )
    return None


def known_json(path: Path, where: str) -> InputError | None:
    """The error for a JSON file of a known program that is not an ASE database, or ``None``."""
    with path.open("rb") as handle:
        text = handle.read(_PEEK).decode("utf-8", "replace")
    with_ase = "write its structures as .extxyz with ASE"
    pymatgen = _PYMATGEN_SET if '"structure"' in text else _PYMATGEN.format(name=where)
    programs = (
        ("dpdata", ('"@module": "dpdata', '"@module":"dpdata'),
         'convert it with dpdata: dpdata.LabeledSystem.load(FILE).to("ase/structure")'),
        ("pymatgen", ("pymatgen", '"@class"', '"lattice":'), pymatgen),
        ("JARVIS", ('"lattice_mat"',), with_ase),
        ("OPTIMADE", ('"optimade"', "optimade.org"), with_ase),
    )  # fmt: skip
    for program, signs, hint in programs:
        if any(sign in text for sign in signs):
            what = f"is JSON of {program}, not an ASE database"
            return InputError(what, where=where, hint=hint)
    return None
