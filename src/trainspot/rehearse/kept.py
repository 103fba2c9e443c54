"""Finished campaigns of a rehearsal in files, so that no campaign runs twice."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Final

import trainspot
from trainspot.common.atomic_write import replacing
from trainspot.common.errors import DataError
from trainspot.rehearse.trial import Track

if TYPE_CHECKING:
    from pathlib import Path

    from trainspot.rehearse.trial import Task

_DIGITS: Final = 12


def file_of(folder: Path, task: Task) -> Path:
    """``ARM-SEED-DIGEST.json``: the digest covers all data that a track depends on."""
    content = {
        "version": trainspot.__version__,
        "campaign": task.campaign.model_dump(mode="json"),
        "cost": task.cost.to_dict(),
        "inputs": sorted(task.inputs.ids),
        "test": list(task.test.ids),
    }
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    digest.update(task.test.column("energy").tobytes())  # the file of an oracle may change in place
    digest.update(task.test.column("forces").tobytes())
    if task.foundation is not None:
        digest.update(task.foundation.read_bytes())
    seed = task.campaign.seed
    return folder / f"{task.arm}-{seed}-{digest.hexdigest()[:_DIGITS]}.json"


def read(folder: Path, task: Task) -> Track | None:
    """The track of a campaign that finished in an earlier rehearsal.

    Raises:
        DataError: The file of the track is damaged.
    """
    file = file_of(folder, task)
    if not file.is_file():
        return None
    try:
        return Track.from_dict(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError, KeyError) as error:
        raise DataError("is damaged", where=str(file), hint="remove it") from error


def write(folder: Path, task: Task, track: Track) -> None:
    """Write a track; the file appears whole or not at all."""
    with replacing(file_of(folder, task)) as file:
        file.write_text(json.dumps(track.to_dict(), indent=1) + "\n", encoding="utf-8")
