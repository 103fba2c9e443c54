"""Finished campaigns of a rehearsal in files, so that no campaign runs twice."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import trainspot
from trainspot.common.atomic_write import replacing
from trainspot.common.errors import DataError
from trainspot.common.validation import renamed
from trainspot.config.load import former_names
from trainspot.rehearse.trial import Track

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainspot.rehearse.trial import Task

_DIGITS: Final = 12


def file_of(folder: Path, task: Task) -> Path:
    """``ARM-SEED-DIGEST.json``: the digest covers all data that a track depends on."""
    return _file(folder, task, task.campaign.model_dump(mode="json"))


def _former_file(folder: Path, task: Task) -> Path:
    """The file that was written when keys of the campaign had their former names."""
    campaign = task.campaign.model_dump(mode="json")
    for (section, old), new in former_names().items():
        campaign[section] = renamed(campaign[section], {new: old})
    return _file(folder, task, campaign)


def _file(folder: Path, task: Task, campaign: Mapping[str, Any]) -> Path:
    content = {
        "version": trainspot.__version__,
        "campaign": campaign,
        "cost": task.cost.to_dict(),
        "inputs": sorted(task.inputs.ids),
        "test": list(task.test.ids),
    }
    if task.pool is not None:
        content["pool"] = sorted(task.pool.ids)
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
    files = (file_of(folder, task), _former_file(folder, task))
    file = next(filter(Path.is_file, files), None)
    if file is None:
        return None
    try:
        return Track.from_dict(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError, KeyError) as error:
        raise DataError("is damaged", where=str(file), hint="remove it") from error


def write(folder: Path, task: Task, track: Track) -> None:
    """Write a track; the file appears whole or not at all."""
    with replacing(file_of(folder, task)) as file:
        file.write_text(json.dumps(track.to_dict(), indent=1) + "\n", encoding="utf-8")
