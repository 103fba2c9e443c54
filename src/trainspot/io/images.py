"""Many ASE structures → one dataset; errors name the number of the structure."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ase import Atoms

from trainspot.common.errors import InputError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, frame_id
from trainspot.data.rows import with_ids
from trainspot.io import labels as naming
from trainspot.io.atoms import LOG, read_frame
from trainspot.io.mapping import already, renamed

if TYPE_CHECKING:
    from numpy.typing import NDArray


def from_images(
    images: Iterable[Atoms],
    *,
    theory: str = "",
    where: str = "",
    mapping: Mapping[str, str] | None = None,
) -> Dataset:
    """A dataset of ASE structures, see ``from_ase``.

    Args:
        images: The structures.
        theory: Level of theory of labels that come without one.
        where: The file of the structures, if there is one.
        mapping: Labels under other names, see ``mapping.parse_map``.

    Raises:
        InputError: A structure cannot be used; the message counts from 1.
    """
    several = list(images)
    frames = list[Frame]()
    firsts: dict[str, tuple[int, NDArray[Any]]] = {}
    notes: Counter[str] = Counter()
    met, passed = set[str](), Counter[str]()
    for number, atoms in enumerate(several, start=1):
        try:
            if mapping:
                met |= renamed(atoms, mapping, passed)
            frames.append(read_frame(atoms, theory, mapping or {}, notes))
            _check_alike(frames[-1], number, firsts)
        except InputError as error:
            place = f"structure {number}" if len(several) > 1 else ""
            raise _placed(error, ", ".join(filter(None, (where, place)))) from None
        except (ValueError, TypeError, ArithmeticError, LookupError, AttributeError) as error:
            # No check covers this error; it still becomes one line with the place.
            place = ", ".join(filter(None, (where, f"structure {number}")))
            hint = "correct it, or remove it from the file"
            what = f"has a value that cannot be used ({error})"
            raise InputError(what, where=place, hint=hint) from error
    _check_used(mapping or {}, met, passed, where)
    for name in sorted(passed):
        notes[f"'{name}' stays unchanged where the label already exists"] += passed[name]
    try:
        dataset = Dataset.from_frames(frames)
    except InputError as error:
        raise _placed(error, where) from None
    before = [_id_before(atoms, frame) for atoms, frame in zip(several, frames, strict=True)]
    if before != dataset.ids:
        dataset = Dataset(with_ids(dataset.columns, before, dataset.ids))
    for text, count in notes.items():
        shown = f"{where}: " if where else ""
        LOG.warning("%s%s (%s of %s structures)", shown, _named(text, where), count, len(several))
    return dataset


def _check_used(
    mapping: Mapping[str, str], met: Collection[str], passed: Collection[str], where: str
) -> None:
    """Refuse names that are in no structure, or only in structures that already have the label."""
    for name in sorted(mapping.keys() - met):
        if name in passed:
            refused = already(mapping[name])
            raise InputError(refused.what, where=where or refused.where, hint=refused.hint)
        hint = "check the name, which may be missing in all frames"
        raise InputError(f"has nothing called '{name}'", where=where, hint=hint)


def _id_before(atoms: Atoms, frame: Frame) -> str:
    """The id of a frame for its children; older files have ids without charge and spin."""
    written = atoms.info.get("frame_id")
    old = frame_id(frame.numbers, frame.positions, frame.cell, frame.pbc)
    return old if written == old else frame.id


def _placed(error: InputError, place: str) -> InputError:
    """The error with its file and structure, and with the file's name in its command lines."""
    file = place.partition(", structure ")[0]
    return type(error)(error.what, where=place, hint=_named(error.hint, file))


def _named(text: str, file: str) -> str:
    return text.replace(naming.FILE, shlex.quote(file)) if file else text


def _check_alike(frame: Frame, number: int, firsts: dict[str, tuple[int, NDArray[Any]]]) -> None:
    """Refuse a per-atom array whose type or width differs from earlier frames."""
    for name, array in frame.arrays.items():
        first, earlier = firsts.setdefault(name, (number, array))
        if (array.dtype, array.shape[1:]) != (earlier.dtype, earlier.shape[1:]):
            raise InputError(
                f"the per-atom array '{name}' is {_kind_of(array)} here, and {_kind_of(earlier)} "
                f"in structure {first}",
                hint="give it one type and width in all structures",
            )


def _kind_of(array: NDArray[Any]) -> str:
    width = " × ".join(map(str, array.shape[1:])) or "1"
    return f"{width} {array.dtype.name}"
