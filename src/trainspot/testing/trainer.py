"""What every trainer must do, ours or a third party's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
from pydantic import ValidationError

from trainspot.common import plugins
from trainspot.common.errors import InputError, OutputMissingError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Labels
from trainspot.models import potential
from trainspot.train.run import trainer

if TYPE_CHECKING:
    from pathlib import Path

    from trainspot.train.base import Trainer


def check_trainer(name: str, dataset: Dataset, folder: Path) -> None:
    """Assert the contract of the trainer registered as ``name``; nothing is trained.

    - settings have defaults, explain themselves and refuse what they do not know;
    - the same arguments write the same bytes, another seed writes others;
    - the labels of the test set change nothing;
    - a dataset without labels, or without training frames, is refused and nothing is written;
    - a folder in which nothing ran has no output, no checkpoint and no progress.

    Args:
        name: Name of the trainer.
        dataset: Labelled frames in all three sets.
        folder: An empty folder.
    """
    engine = trainer(name)
    settings = engine.Settings()
    assert engine.name == name
    assert engine.model_kind in plugins.names(potential.GROUP), "the model can be loaded"
    assert all(isinstance(word, str) for word in engine.arguments(settings))
    assert engine.outputs(settings), "some files are looked at afterwards"
    for key, field in engine.Settings.model_fields.items():
        assert field.description, f"the setting '{key}' explains itself"
    try:
        engine.Settings(no_such_setting=1)
    except ValidationError:
        pass
    else:
        raise AssertionError("unknown settings are refused")
    plain = json.loads(settings.model_dump_json())
    assert engine.Settings(**plain) == settings, "settings survive JSON"

    first = _written(engine, dataset, folder / "first", 1)
    assert first, "something is written"
    assert _written(engine, dataset, folder / "again", 1) == first, "the same bytes"
    assert _written(engine, dataset, folder / "seed", 2) != first, "the seed is used"
    assert _written(engine, _spoilt(dataset), folder / "spoilt", 1) == first, "no test labels"
    for bad in (dataset.unlabelled(), dataset.subset("test")):
        _refuses(engine, bad, folder / "bad")
    _left_nothing(engine, folder / "first")


def _written(engine: type[Trainer], dataset: Dataset, folder: Path, seed: int) -> dict[str, bytes]:
    folder.mkdir()
    engine.write_inputs(folder, dataset, engine.Settings(), seed)
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def _spoilt(dataset: Dataset) -> Dataset:
    """The same frames, with nonsense for the labels of the test set."""
    assert len(dataset.subset("test")), "the contract needs test frames"
    return Dataset.from_frames(
        frame.with_(labels=Labels(1e6, np.ones((len(frame), 3)), None, frame.labels.theory))
        if frame.split == "test"
        else frame
        for frame in dataset
    )


def _refuses(engine: type[Trainer], dataset: Dataset, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    try:
        engine.write_inputs(folder, dataset, engine.Settings(), 1)
    except InputError:
        assert not list(folder.iterdir()), "nothing is written for bad input"
    else:
        raise AssertionError("a dataset without labelled training frames is refused")


def _left_nothing(engine: type[Trainer], folder: Path) -> None:
    assert engine.read_checkpoint(folder) is None
    assert engine.progress(folder, engine.Settings()) == 0.0
    try:
        engine.read_outputs(folder)
    except OutputMissingError:
        return
    raise AssertionError("a missing model is an OutputMissingError")
