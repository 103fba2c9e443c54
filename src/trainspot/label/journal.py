"""The journal of a labelling run: its results so far, which survive if the run is killed.

A journal is a text file with one line for each finished frame: a checksum and a JSON object with
the frame's id and either its labels or the reason of its failure. A run that ends normally removes
its journal.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np

from trainspot.common.errors import DataError, InputError
from trainspot.data.failure import KEY, Failure, failure_of, without_failure
from trainspot.data.frames import Labels
from trainspot.label.base import LabelResult, failed, gathered

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from trainspot.data.dataset import Dataset
    from trainspot.data.frames import Frame

_START: Final = b'00000000 {"id":"'
"""The beginning of a journal after the eight digits of the first checksum."""


def add(stream: IO[bytes], frame: Frame) -> None:
    """Add a labelled or failed frame; the line survives the end of this process."""
    entry: dict[str, Any] = {"id": frame.id}
    if failure := failure_of(frame):
        entry[KEY] = failure.to_dict()
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
    """The finished frames of an interrupted run, in the order of ``asked``.

    Lines are read up to the first incomplete one: the run may have been killed during a write.

    Args:
        path: The journal.
        asked: The frames of the run.
        theory: The level of theory of the run.
        former: Fingerprints of the same level of theory in earlier versions.

    Raises:
        DataError: A complete line belongs to another run, or the file is no journal.
    """
    results: dict[str, Frame] = {}
    frames = {frame.id: frame for frame in asked}
    for number, entry in enumerate(_entries(path), start=1):
        where = f"{path.name}:{number}"
        frame = frames.get(entry["id"])
        if frame is None:
            raise DataError("not a frame of this run", where=where)
        if KEY in entry:
            failure = Failure.from_dict(entry[KEY])
            results[frame.id] = failed(frame, failure.reason, failure.exit_status)
            continue
        if entry["theory"] in former:
            entry["theory"] = theory
        if entry["theory"] != theory:
            raise DataError("labels of another level of theory", where=where)
        results[frame.id] = without_failure(frame).with_(labels=_labels(entry, len(frame), where))
    return gathered(results[identity] for identity in asked.ids if identity in results)


def opened(path: Path) -> IO[bytes]:
    """Open a journal to add lines; an incomplete last line of an earlier run is cut off.

    Raises:
        DataError: The file is no journal; it is not changed.
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
    """The lines before the first incomplete or damaged one."""
    with path.open("rb") as lines:
        start = lines.read(len(_START))
        # Another file, named by mistake, has no complete line and would be emptied.
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
