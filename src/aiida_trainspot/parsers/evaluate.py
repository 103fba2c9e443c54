"""The parser of ``EvaluationCalculation``."""

from __future__ import annotations

from pathlib import Path

from aiida_trainspot.calculations.evaluate import ALLOW_NON_FINITE, PREDICTIONS, ids_of
from aiida_trainspot.data.predictions import PredictionsData
from aiida_trainspot.parsers.base import TrainspotParser, required
from trainspot.common.errors import DataError


class EvaluationParser(TrainspotParser):
    """Checks that the predictions belong to the frames before it attaches them."""

    def read(self, directory: Path, temporary: Path | None) -> None:
        """See ``TrainspotParser.read``."""
        del temporary
        path = required(directory, PREDICTIONS)
        node = PredictionsData(path)
        predictions = node.predictions
        if predictions.ids != ids_of(self.node.inputs):
            raise DataError("holds other frames than the job", where=PREDICTIONS)
        if len(predictions.members) != len(self.node.inputs.models):
            raise DataError("holds a wrong number of members", where=PREDICTIONS)
        self.out("predictions", node)
        if not self.node.get_option(ALLOW_NON_FINITE):
            predictions.check_finite()
