"""A file in the form that readers need: literal name, unpacked, without a byte order mark."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import shutil
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from trainspot.common.errors import InputError

_PACKED: Final[dict[str, tuple[bytes, Callable[[Path], Any]]]] = {
    ".gz": (b"\x1f\x8b", gzip.GzipFile),
    ".bz2": (b"BZh", bz2.BZ2File),
    ".xz": (b"\xfd7zXZ\x00", lzma.LZMAFile),
}
"""First bytes and opener of a packed file, by suffix."""

_ARCHIVES: Final = {".zip": b"PK\x03\x04", ".zst": b"\x28\xb5\x2f\xfd", ".tar": b""}
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
_BESIDE: Final = ("CONTCAR", "POSCAR")  # ASE reads the constraints of an OUTCAR from these files


def suffix_of(path: Path) -> str:
    """The suffix of the format, in small letters: ``.extxyz`` for ``a.EXTXYZ.gz``."""
    if path.suffix.lower() in _PACKED:
        path = path.with_suffix("")
    return path.suffix.lower()


@contextmanager
def plain(path: Path) -> Iterator[Path]:
    """The file itself, or its unpacked content, or its text in UTF-8 without a byte order mark.

    A changed copy is in a temporary folder.

    Raises:
        InputError: A packed file is damaged, or its kind cannot be unpacked.
    """
    with path.open("rb") as handle:
        start = handle.read(8)
    suffix = path.suffix.lower()
    kind = next((kind for kind, (magic, _) in _PACKED.items() if start.startswith(magic)), "")
    mark = next((name for bytes_, name in _MARKS if start.startswith(bytes_)), "")
    if suffix in _PACKED and kind != suffix:
        what = "is empty" if not start else f"is not packed as its suffix '{suffix}' says"
        raise InputError(what, where=str(path), hint="rename it, or copy it again")
    if suffix in _ARCHIVES and start.startswith(_ARCHIVES[suffix]):
        raise InputError("is an archive", where=str(path), hint="unpack it first")
    if not kind and not mark:
        yield path
        return
    with TemporaryDirectory(prefix="trainspot-") as folder:
        copy = Path(folder) / (path.stem if suffix in _PACKED else path.name)
        if kind:
            _unpack(path, copy, _PACKED[kind][1])
        else:
            _recode(path, copy, mark)
        for name in _BESIDE:
            if (path.parent / name).is_file() and not (copy.parent / name).exists():
                (copy.parent / name).symlink_to((path.parent / name).resolve())
        if kind:
            with plain(copy) as inner:
                yield inner
        else:
            yield copy


def _unpack(path: Path, copy: Path, opener: Callable[[Path], Any]) -> None:
    try:
        with opener(path) as packed, copy.open("wb") as target:
            shutil.copyfileobj(packed, target)
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        if getattr(error, "errno", None) is not None:  # such as a full disk
            raise
        raise InputError(
            "cannot be unpacked: it is cut off or damaged", where=str(path), hint="copy it again"
        ) from error


def _recode(path: Path, copy: Path, mark: str) -> None:
    try:
        copy.write_text(path.read_text(encoding=mark), encoding="utf-8")
    except UnicodeError as error:
        raise InputError(
            f"begins with a byte order mark, and is not {mark.upper()}", where=str(path),
            hint="save it as UTF-8",
        ) from error  # fmt: skip


def moved(error: InputError, copy: Path, path: Path) -> InputError:
    """An error about a copy of ``plain`` as one about the file itself."""
    if copy == path:
        return error
    parts: Any = [
        part.replace(str(copy), str(path)) for part in (error.what, error.where, error.hint)
    ]
    return type(error)(parts[0], where=parts[1], hint=parts[2])
