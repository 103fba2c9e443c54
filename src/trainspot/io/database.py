"""Databases of ASE: ``.db`` (SQLite), ``.json`` (only read), ``.aselmdb`` (what MACE trains on).

Labels are the results of a row, where every program finds them. Split, origin and metadata are
key-value pairs if possible, so that ``ase db frames.db split=test`` finds frames; otherwise they
are in the JSON text ``trainspot`` of the row's data.
"""

from __future__ import annotations

import math
import sqlite3
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import ase.db
import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db.core import check
from ase.db.row import AtomsRow
from ase.formula import Formula
from ase.stress import full_3x3_to_voigt_6_stress, voigt_6_to_full_3x3_stress

from trainspot.common.errors import InputError, MissingExtraError
from trainspot.data.frames import Frame
from trainspot.io.atoms import OURS, constraints_of, packed
from trainspot.io.labels import REF_ENERGY, REF_FORCES, REF_STRESS

if TYPE_CHECKING:
    from numpy.typing import NDArray

LMDB: Final = ".aselmdb"
SUFFIXES: Final = (".db", LMDB)
"""Suffixes that are written; ``.json`` is read as well."""

# Arrays with a place in a row, and their dtype in the row.
_ROW_ARRAYS = {"momenta": "f8", "initial_magmoms": "f8", "initial_charges": "f8", "masses": "f8"}


# Names that a row uses itself: values derived from its atoms, its methods, its own entries.
_ROW_NAMES = frozenset(
    {*dir(AtomsRow(Atoms("H"))), *_ROW_ARRAYS, "tags", "constraints", "calculator", "data",
     "calculator_parameters", "key_value_pairs", "numbers"}
)  # fmt: skip


# ── reading ───────────────────────────────────────────────────────────────────
def images(path: Path, suffix: str = "") -> list[Atoms]:
    """The structure of every row, with its key-value pairs and data in ``info``.

    Row ids, times and user names of the database are ignored. Errors of ASE are not caught.

    Args:
        path: The file.
        suffix: Its kind, in small letters; by default the suffix of the file.

    Raises:
        InputError: A name is both in the pairs and in the data of a row.
        MissingExtraError: The extra for ``.aselmdb`` files is not installed.
    """
    suffix = suffix or path.suffix.lower()
    if suffix == ".db":
        _check_sqlite(path)
    options: dict[str, Any] = {}
    if suffix == LMDB:
        _check_lmdb(path)
        options["readonly"] = True
    with _connected(path, suffix, **options) as database:
        return [_atoms(row) for row in database.select()]


def _check_sqlite(path: Path) -> None:
    """Refuse an SQLite file without ASE's tables; ASE would create the tables in a foreign file."""
    uri = f"{path.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        tables = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'systems'")
        if tables.fetchone() is None:
            raise InputError("is not an ASE database")


def _check_lmdb(path: Path) -> None:
    """Refuse a foreign or truncated file: LMDB would read beyond its end and crash."""
    lmdb = _lmdb()
    try:
        options = {"subdir": False, "readonly": True, "lock": False}
        with lmdb.open(str(path), **options) as environment:
            pages = environment.info()["last_pgno"] + 1
            is_whole = pages * environment.stat()["psize"] <= path.stat().st_size
    except lmdb.Error as error:
        raise InputError("is not an LMDB database") from error
    if not is_whole:
        raise InputError("is cut off", hint="copy or write it again")


def _lmdb() -> Any:
    """The library, after a check that ASE's backend for it is installed."""
    try:
        import ase_db_backends  # noqa: F401
        import lmdb
    except ModuleNotFoundError as error:
        raise MissingExtraError("reading and writing .aselmdb", "lmdb") from error
    return lmdb


@contextmanager
def _connected(path: Path, suffix: str, **options: Any) -> Iterator[Any]:
    if suffix == LMDB:
        _lmdb()
    kind = suffix.removeprefix(".")  # explicit, because ASE guesses from the name
    with ase.db.connect(path, type=kind, use_lock_file=False, **options) as database:
        yield database


def _atoms(row: Any) -> Atoms:
    # For a name such as volume, row.get would return the row's own value instead of the pair.
    pairs = {name: vars(row).get(name, value) for name, value in row.key_value_pairs.items()}
    data = dict(row.data)
    if pairs.keys() & data.keys():
        name = min(pairs.keys() & data.keys())
        raise InputError(f"row {row.id}: '{name}' is a key-value pair and in the data")
    atoms = row.toatoms()
    atoms.info = {**pairs, **data}
    if OURS in data:
        return _ours(atoms)
    name = row.get("calculator")
    if name not in (None, "unknown"):
        atoms.info.setdefault("calculator", name)
        if row.get("calculator_parameters"):
            atoms.info.setdefault("calculator_parameters", dict(row.calculator_parameters))
    return atoms


def _ours(atoms: Atoms) -> Atoms:
    """A row from ``write``: its results are reference labels, other data are in our text."""
    results = atoms.calc.results if atoms.calc else {}
    atoms.set_constraint()
    if "energy" in results:
        atoms.info[REF_ENERGY] = results["energy"]
    if "stress" in results:
        atoms.info.setdefault(REF_STRESS, results["stress"])
    if "forces" in results:
        atoms.set_array(REF_FORCES, results["forces"])
    atoms.calc = None
    return atoms


# ── writing ───────────────────────────────────────────────────────────────────
def failures() -> tuple[type[Exception], ...]:
    """What is raised where a database cannot be written: no permission, or a full disk."""
    lmdb = sys.modules.get("lmdb")
    return (sqlite3.Error,) if lmdb is None else (sqlite3.Error, lmdb.Error)


def write(path: Path, frames: Iterable[Frame]) -> None:
    """Write frames as rows of a new database that comes back bit for bit.

    Raises:
        DataError: An extra with more digits than JSON keeps (long doubles).
        MissingExtraError: The extra for ``.aselmdb`` files is not installed.
    """
    with _connected(path, path.suffix.lower()) as database:
        for frame in frames:
            pairs, arrays = packed(frame, _is_pair, _has_place)
            data = {OURS: pairs.pop(OURS, "{}")}
            stress = frame.labels.stress
            if stress is not None and not np.array_equal(_from_voigt(_voigt(stress)), stress):
                data[REF_STRESS] = stress.copy()  # rows hold six numbers
            database.write(_row(frame, arrays), key_value_pairs=pairs, data=data)


def _row(frame: Frame, arrays: dict[str, NDArray[Any]]) -> Atoms:
    atoms = frame.to_atoms()
    for name, values in arrays.items():
        atoms.set_array(name, np.array(values))
    atoms.set_constraint(constraints_of(frame))
    labels = frame.labels
    results = {
        "energy": labels.energy,
        "forces": labels.forces,
        "stress": None if labels.stress is None else _voigt(labels.stress),
    }
    present = {name: value for name, value in results.items() if value is not None}
    if present:
        atoms.calc = SinglePointCalculator(atoms, **present)
    return atoms


def _voigt(stress: NDArray[np.float64]) -> NDArray[np.float64]:
    components: NDArray[np.float64] = full_3x3_to_voigt_6_stress(stress)
    return components


def _from_voigt(stress: NDArray[np.float64]) -> NDArray[np.float64]:
    matrix: NDArray[np.float64] = voigt_6_to_full_3x3_stress(stress)
    return matrix


def _has_place(name: str, values: NDArray[Any]) -> bool:
    shape = (len(values), 3) if name == "momenta" else (len(values),)
    return _ROW_ARRAYS.get(name) == values.dtype.str[1:] and values.shape == shape


def _is_pair(key: str, value: Any) -> bool:
    """Whether an entry can be a key-value pair that comes back the same."""
    if type(value) not in (str, int, float) or key == OURS or key in _ROW_NAMES:
        return False
    if not isinstance(value, str) and not (math.isfinite(value) and abs(value) < 2**53):
        return False
    if "\n" in key or "\0" in str(value) or _is_formula(key):
        return False
    try:
        check({key: value})
    except ValueError:
        return False
    return True


def _is_formula(key: str) -> bool:
    """Whether a search would read the key as a formula, about which ASE warns."""
    try:
        Formula(key, strict=True)
    except ValueError:
        return False
    return True
