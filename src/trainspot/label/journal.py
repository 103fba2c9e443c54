"""What a labelling run has done so far, kept so that nothing is lost when it is killed.

A journal is a text file with one line a frame, added as soon as the frame is done: a checksum and a
JSON object with the frame's id and either its labels or the reason why it has none. A run that
ends as it should removes its journal.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np

from trainspot.common.errors import DataError, InputError
from trainspot.data.frames import Labels
from trainspot.label.base import LabelResult, failed, gathered, retried

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from trainspot.data.dataset import Dataset
    from trainspot.data.frames import Frame

_START: Final = b'00000000 {"id":"'
"""How a journal starts, but for the eight digits of the first checksum."""


def add(stream: IO[bytes], frame: Frame) -> None:
    """Add a labelled or failed frame; what was added survives the end of this process."""
    entry: dict[str, Any] = {"id": frame.id}
    if "failure" in frame.info:
        entry["failure"] = frame.info["failure"]
    else:
        labels = frame.labels
        entry |= {"energy": labels.energy, "theory": labels.theory}
        for name in ("forces", "stress"):
            value = getattr(labels, name)
            entry[name] = None if value is None else value.tolist()
    text = json.dumps(entry, separators=(",", ":"), allow_nan=False).encode()
    stream.write(b"%s %s\n" % (_checksum(text), text))
    stream.flush()


def read(path: Path, asked: Dataset, theory: str, former: Collection[str] = ()) -> LabelResult:
    """The frames that a run which was cut off had done, in the order of ``asked``.

    Lines are read up to the first that is not whole: the run may have been killed while it wrote.

    Args:
        path: The journal.
        asked: The frames that the run was given.
        theory: The level of theory it should have computed with.
        former: Names that earlier versions gave to it.

    Raises:
        DataError: A line is whole but not of this run, or the file is no journal.
    """
    results: dict[str, Frame] = {}
    frames = {frame.id: frame for frame in asked}
    for number, entry in enumerate(_entries(path), start=1):
        where = f"{path.name}:{number}"
        frame = frames.get(entry["id"])
        if frame is None:
            raise DataError("not a frame that was asked for", where=where)
        if "failure" in entry:
            results[frame.id] = failed(frame, **entry["failure"])
            continue
        if entry["theory"] in former:
            entry["theory"] = theory
        if entry["theory"] != theory:
            raise DataError("labels of another level of theory", where=where)
        results[frame.id] = retried(frame).with_(labels=_labels(entry, len(frame), where))
    return gathered(results[identity] for identity in asked.ids if identity in results)


def opened(path: Path) -> IO[bytes]:
    """The journal, to be added to; a line that an earlier run left torn is cut off.

    Raises:
        DataError: The file is no journal; it is left alone.
    """
    if path.exists():
        os.truncate(path, sum(map(len, _whole(path))))
    return path.open("ab")


def _labels(entry: dict[str, Any], n_atoms: int, where: str) -> Labels:
    values = {name: entry[name] for name in ("energy", "theory")}
    for name in ("forces", "stress"):
        values[name] = None if entry[name] is None else np.array(entry[name], dtype=np.float64)
    try:
        return Labels(**values).checked(n_atoms)
    except InputError as error:
        raise DataError(str(error), where=where) from error


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    for line in _whole(path):
        yield json.loads(line.partition(b" ")[2])


def _whole(path: Path) -> Iterator[bytes]:
    """The lines before the first that is torn or damaged."""
    with path.open("rb") as lines:
        start = lines.read(len(_START))
        # A file named by mistake has no whole line either, and would be cut down to nothing.
        if not re.fullmatch(rb'[0-9a-f]{8} \{"id":"', start + _START[len(start) :]):
            raise DataError("is no journal of a labelling run", where=str(path))
        lines.seek(0)
        for line in lines:
            checksum, _, text = line.rstrip(b"\n").partition(b" ")
            if not line.endswith(b"\n") or checksum != _checksum(text):
                return
            yield line


def _checksum(text: bytes) -> bytes:
    return b"%08x" % zlib.crc32(text)
