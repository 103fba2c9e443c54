"""``PredictionsData``: an AiiDA node with a committee's predictions for many frames."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, ClassVar

from aiida.orm import SinglefileData

from trainspot.predictions import files
from trainspot.predictions.predictions import Predictions


class PredictionsData(SinglefileData):
    """Predictions of a committee in one HDF5 file.

    ::

        node.predictions            # everything, in memory
        node.ids                    # ids of the frames; nothing else is read

    Args:
        predictions: The predictions, or a file that ``trainspot evaluate`` wrote.
    """

    FILENAME: ClassVar[str] = "predictions.h5"

    def __init__(self, predictions: Predictions | Path | str, **kwargs: Any) -> None:
        """Put the file into the (unstored) node's repository without reading it."""
        if not isinstance(predictions, Predictions):
            super().__init__(Path(predictions).resolve(), filename=self.FILENAME, **kwargs)
            return
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / self.FILENAME
            predictions.write(path)
            super().__init__(path, filename=self.FILENAME, **kwargs)

    @property
    def predictions(self) -> Predictions:
        """The predictions, in memory.

        Raises:
            DataError: The file is damaged or foreign.
        """
        return read_predictions(self)

    @property
    def ids(self) -> list[str]:
        """Ids of the frames in order."""
        return predicted_ids(self)


def read_predictions(node: SinglefileData) -> Predictions:
    """The predictions in a node, or in the plain file node of an earlier version.

    Raises:
        DataError: The file is damaged or foreign.
    """
    with node.open(mode="rb") as handle:
        return Predictions.read(handle)


def predicted_ids(node: SinglefileData) -> list[str]:
    """Ids of the frames in a node of predictions; nothing else is read."""
    with node.open(mode="rb") as handle:
        return files.frame_ids(handle)
