"""Predictions out of their node and into one."""

from __future__ import annotations

import tempfile
from pathlib import Path

from aiida.orm import SinglefileData

from trainspot.predictions import files
from trainspot.predictions.predictions import Predictions


def read_predictions(node: SinglefileData) -> Predictions:
    """The predictions in a node; ``DataError`` if the file is damaged or foreign."""
    with node.open(mode="rb") as handle:
        return Predictions.read(handle)


def predicted_ids(node: SinglefileData) -> list[str]:
    """Ids of the frames in a node of predictions, of which nothing else is read."""
    with node.open(mode="rb") as handle:
        return files.frame_ids(handle)


def written_predictions(predictions: Predictions) -> SinglefileData:
    """A node with the file of predictions, under the name that jobs give it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "predictions.h5"
        predictions.write(path)
        return SinglefileData(path)
