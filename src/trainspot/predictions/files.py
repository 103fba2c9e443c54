"""The HDF5 layout of predictions.

``frame_id`` (N,), ``offsets`` (N+1,), ``energy`` (M, N), ``forces`` (M, A, 3), ``stress``
(M, N, 3, 3), ``projector`` (N, 3, 3), and for other programs the group
``disagreement`` with ``energy``, ``forces``, ``forces_p95``, ``forces_max``, ``stress``, (N,) each
(absent for a single model). With a calibration of the committee, the group ``calibrated`` has the
sigmas of the calibrated properties and ``threshold_ratio``, (N,) each (see ``error_bars``), and
``novelty`` if the training frames are known.
``excess`` is a link to the latter, and the only name in older files. A sigma has the
attributes ``scale`` and ``threshold``. The file has the attributes ``format``, ``format_version``,
``members``, ``source``, and, if available, the ``digests`` of the model files. The bytes depend
only on the content.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from trainspot import io
from trainspot.common.atomic_write import replacing
from trainspot.common.errors import DataError, InputError
from trainspot.common.properties import PROPERTIES
from trainspot.data.dataset import Dataset
from trainspot.predictions.error_bars import FORMER_RATIO, RATIO, Trust, calibrated, columns
from trainspot.predictions.predictions import Predictions

FORMAT: Final = "trainspot-predictions"
FORMAT_VERSION: Final = 1

_COLUMNS: Final = {
    "frame_id": ("S64", "N"),
    "offsets": ("i8", "E"),
    "energy": ("f8", "MN"),
    "forces": ("f8", "MA3"),
    "stress": ("f8", "MN33"),
    "projector": ("f8", "N33"),
}
"""Type and shape of each column; E is N+1."""

_DISAGREEMENT: Final = ("energy", "forces", "forces_p95", "forces_max", "stress")


def write(predictions: Predictions, target: Path | str) -> None:
    """Write predictions atomically: completely or not at all.

    Raises:
        OSError: The folder cannot be written, or the disk is full; no partial file stays.
    """
    members, source = predictions.members, predictions.source
    with writing(target, predictions.n_atoms, members, source, digests=predictions.digests) as file:
        file.add(predictions)


class Writer:
    """A file of predictions that grows frame by frame; see ``writing``."""

    def __init__(
        self,
        file: h5py.File,
        n_atoms: NDArray[np.int64],
        n_members: int,
        trust: Mapping[str, Trust],
        *,
        novelty: bool = False,
    ) -> None:
        """Create the columns with their final sizes."""
        self._file = file
        self._row = self._atom = 0
        self._committee = n_members > 1
        self._trust = trust if self._committee else {}
        bars = columns(self._trust, novelty=novelty)
        sizes = {"M": n_members, "N": len(n_atoms), "A": int(n_atoms.sum()), "3": 3}
        for name, (dtype, axes) in _COLUMNS.items():
            if name != "offsets":
                shape = tuple(sizes[axis] for axis in axes)
                file.create_dataset(name, shape=shape, dtype=dtype, track_times=False)
        offsets = np.concatenate([[0], np.cumsum(n_atoms)]).astype("i8")
        file.create_dataset("offsets", data=offsets, track_times=False)
        extra = [f"disagreement/{name}" for name in _DISAGREEMENT if self._committee]
        extra += [f"calibrated/{name}" for name in bars]
        for name in extra:
            file.create_dataset(name, shape=(len(n_atoms),), dtype="f8", track_times=False)
        for name, calibration in self._trust.items():
            file[f"calibrated/{name}"].attrs.update(
                scale=calibration.scale, threshold=calibration.threshold
            )
        if bars:
            file[f"calibrated/{FORMER_RATIO}"] = h5py.SoftLink(RATIO)

    def add(self, block: Predictions, novelty: NDArray[np.float64] | None = None) -> None:
        """Write the predictions of the next frames, and their novelty if the file has it."""
        rows = slice(self._row, self._row + len(block))
        atoms = slice(self._atom, self._atom + int(block.offsets[-1]))
        for name in ("frame_id", "projector"):
            self._file[name][rows] = getattr(block, name)
        for name in ("energy", "stress"):
            self._file[name][:, rows] = getattr(block, name)
        self._file["forces"][:, atoms] = block.forces
        delta = block.disagreement() if self._committee else {}
        for name, values in delta.items():
            self._file[f"disagreement/{name}"][rows] = values
        for name, values in calibrated(delta, block.has_stress, self._trust, novelty).items():
            self._file[f"calibrated/{name}"][rows] = values
        self._row, self._atom = rows.stop, atoms.stop


@contextmanager
def writing(
    target: Path | str,
    n_atoms: NDArray[np.int64],
    members: Sequence[str],
    source: str = "",
    trust: Mapping[str, Trust] | None = None,
    digests: Sequence[str] = (),
    *,
    novelty: bool = False,
) -> Iterator[Writer]:
    """A file of predictions to fill; it appears complete at the end of the block, or not at all.

    Args:
        target: Where to write.
        n_atoms: Atoms of each frame, (N,).
        members: Names of the members.
        source: Source of the frames.
        trust: Calibration of this committee, for error bars; ignored for a single model.
        digests: Of the model files of the members.
        novelty: Whether each block has the novelty of its frames.

    Raises:
        OSError: The folder cannot be written, or the disk is full; no partial file stays.
    """
    with replacing(target) as path, h5py.File(path, "w", libver="v110") as file:
        file.attrs["format"] = FORMAT
        file.attrs["format_version"] = FORMAT_VERSION
        file.attrs["members"] = list(members)
        file.attrs["source"] = source
        if digests:
            file.attrs["digests"] = list(digests)
        yield Writer(file, n_atoms, len(members), trust or {}, novelty=novelty)


def disagreement(source: Path) -> dict[str, NDArray[np.float64]]:
    """Δ of energy, forces and stress, (N,); stress of frames that have it; empty for one model."""
    with h5py.File(source, "r") as file:
        if "disagreement" not in file:
            return {}
        columns = {name: file[f"disagreement/{name}"][...] for name in PROPERTIES}
        columns["stress"] = columns["stress"][file["projector"][...].any(axis=(1, 2))]
    return {name: values for name, values in columns.items() if values.size}


def frame_ids(source: Path | IO[bytes]) -> list[str]:
    """Ids of the frames, in order."""
    with h5py.File(source, "r") as file:
        return [identity.decode() for identity in file["frame_id"][...].tolist()]


def error_bars(source: Path) -> dict[str, NDArray[np.float64]]:
    """Sigmas, ``threshold_ratio`` and, if it was judged, ``novelty`` of each frame, (N,) each.

    Empty without a calibration and without novelty.
    """
    with h5py.File(source, "r") as file:
        return {
            RATIO if name == FORMER_RATIO else name: column[...]
            for name, column in file.get("calibrated", {}).items()
        }


def read(source: Path | str | IO[bytes]) -> Predictions:
    """Read predictions and check that the columns are consistent.

    Raises:
        DataError: No predictions file of trainspot, or a damaged one.
    """
    where = str(source) if isinstance(source, str | Path) else "predictions"
    try:
        with h5py.File(source, "r") as file:
            if file.attrs.get("format") != FORMAT:
                raise DataError("not a trainspot predictions file", where=where)
            if int(file.attrs["format_version"]) > FORMAT_VERSION:
                raise DataError("written by a newer trainspot", where=where)
            members = tuple(str(name) for name in file.attrs["members"])
            origin = str(file.attrs.get("source", ""))
            digests = tuple(str(digest) for digest in file.attrs.get("digests", ()))
            columns = {name: file[name][...] for name in _COLUMNS}
    except FileNotFoundError:
        raise DataError("no such file", where=where) from None
    # h5py raises various errors for damaged metadata
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise DataError("not an HDF5 file, or damaged", where=where) from error
    _validate(columns, len(members), where)
    return Predictions(**columns, members=members, source=origin, digests=digests)


def frames_of(predictions: Predictions, path: Path, given: Path | None = None) -> Dataset:
    """The evaluated frames, from the file ``given`` or from the source of the predictions.

    Args:
        predictions: As read from ``path``.
        path: Their file; the source may also lie beside this file.
        given: File of the frames, if the user names one.

    Raises:
        InputError: No file of the frames, or a file of other frames.
    """
    places = [Path(predictions.source), path.parent / predictions.source]
    places = [given] if given else places if predictions.source else []
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        missing = f" at '{places[0]}'" if places else ""
        raise InputError(
            f"the frames of these predictions are not{missing or ' named'}",
            where=str(path),
            hint="give their file with --frames",
        )
    try:
        return io.read(file).select(dict.fromkeys(predictions.ids))
    except ValueError as error:
        raise InputError(str(error), where=str(file), hint="give the frames evaluated") from error


def _validate(columns: dict[str, Any], n_members: int, where: str) -> None:
    offsets = columns["offsets"]
    sizes = {"M": n_members, "N": len(columns["frame_id"]), "E": len(columns["frame_id"]) + 1}
    sizes |= {"A": int(offsets[-1]) if offsets.size else -1, "3": 3}
    for name, (dtype, axes) in _COLUMNS.items():
        shape = tuple(sizes[axis] for axis in axes)
        if columns[name].shape != shape or columns[name].dtype != np.dtype(dtype):
            raise DataError(f"column '{name}' is damaged", where=where)
    if offsets[0] != 0 or np.any(np.diff(offsets) < 1):
        raise DataError("column 'offsets' is damaged", where=where)
