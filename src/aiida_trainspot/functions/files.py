"""Reading predictions out of their node."""

from __future__ import annotations

from aiida.orm import SinglefileData

from trainspot.evaluate.predictions import Predictions


def read_predictions(node: SinglefileData) -> Predictions:
    """The predictions in a node; ``DataError`` if the file is damaged or foreign."""
    with node.open(mode="rb") as handle:
        return Predictions.read(handle)
