"""``novelty.h5`` of an exported folder: the training frames in descriptor space.

Attributes: ``format``, ``format_version``, ``species``, ``settings`` (JSON of
``DescriptorSettings``), ``thresholds`` and ``atom_thresholds`` (JSON: distance by number of
periodic directions). Datasets, float32: ``frames`` (m, D) if whole frames are compared, and
``atoms/SYMBOL`` (k, D) for each element if atoms are. No other module depends on this format. Equal
content gives equal bytes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from ase.data import atomic_numbers, chemical_symbols
from pydantic import TypeAdapter, ValidationError

from trainspot.common.errors import DataError
from trainspot.descriptors import DescriptorSettings
from trainspot.predictions.domain import Domain, Points, TrainingAtoms

NOVELTY: Final = "novelty.h5"
FORMAT: Final = "trainspot-novelty"
FORMAT_VERSION: Final = 1

_THRESHOLDS: Final = TypeAdapter(dict[str, float])


def write_domain(root: Path, domain: Domain) -> None:
    """Write the file into an exported folder."""
    with h5py.File(root / NOVELTY, "w", libver="v110") as file:
        file.attrs["format"] = FORMAT
        file.attrs["format_version"] = FORMAT_VERSION
        file.attrs["species"] = list(domain.species)
        file.attrs["settings"] = domain.settings.model_dump_json()
        file.attrs["thresholds"] = json.dumps(dict(domain.thresholds), sort_keys=True)
        file.attrs["atom_thresholds"] = json.dumps(dict(domain.atom_thresholds), sort_keys=True)
        if domain.frames is not None:
            _add(file, "frames", domain.frames)
        if domain.atoms is not None:
            for z, points in sorted(domain.atoms.points.items()):
                _add(file, f"atoms/{chemical_symbols[z]}", points)


def read_domain(root: Path) -> Domain | None:
    """Read the file of an exported folder; ``None`` if the folder has none.

    Folders of earlier versions have none, nor has a committee whose novelty nobody judged.

    Raises:
        DataError: The file is damaged, or a newer version wrote it.
    """
    path = root / NOVELTY
    if not path.is_file():
        return None
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") != FORMAT:
                raise DataError("not the novelty of an export", where=str(path))
            if file.attrs["format_version"] > FORMAT_VERSION:
                raise DataError("written by a newer trainspot", where=str(path))
            return _domain(file)
    except (OSError, KeyError, TypeError, ValueError, ValidationError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError("damaged", where=str(path)) from error


def _domain(file: h5py.File) -> Domain:
    species = tuple(str(symbol) for symbol in file.attrs["species"])
    settings = DescriptorSettings.model_validate_json(file.attrs["settings"])
    atoms = None
    if "atoms" in file:
        points = {atomic_numbers[s]: _points(values) for s, values in file["atoms"].items()}
        atoms = TrainingAtoms(species, settings, points)
    return Domain(
        species,
        settings,
        _THRESHOLDS.validate_json(file.attrs["thresholds"]),
        _THRESHOLDS.validate_json(file.attrs["atom_thresholds"]),
        _points(file["frames"]) if "frames" in file else None,
        atoms,
    )


def _add(file: h5py.File, name: str, points: Points) -> None:
    file.create_dataset(
        name, data=points, dtype="f4", track_times=False, compression="gzip", shuffle=True
    )


def _points(values: Any) -> Points:
    points = np.asarray(values[...], dtype=np.float32)
    if points.ndim != 2 or not np.isfinite(points).all():
        raise ValueError("not a table of points")
    return points
