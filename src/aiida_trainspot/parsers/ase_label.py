"""Parser of ``trainspot label``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiida_trainspot.calculations.ase_label import FAILURES, LABELLED
from aiida_trainspot.data.pes import PESData
from aiida_trainspot.parsers.base import TrainspotParser, required
from trainspot.errors import DataError, OutputMissingError

if TYPE_CHECKING:
    from pathlib import Path


class AseLabelParser(TrainspotParser):
    """Labelled and failed frames; together they are the frames that were asked for."""

    def read(self, directory: Path, temporary: Path | None) -> None:
        """Attach both datasets."""
        del directory
        if temporary is None:
            raise OutputMissingError("nothing was retrieved", where=LABELLED)
        labelled = PESData.from_file(required(temporary, LABELLED))
        failures = PESData.from_file(required(temporary, FAILURES))
        asked = set(self.node.inputs.dataset.dataset.ids)
        if asked != {*labelled.dataset.ids, *failures.dataset.ids}:
            raise DataError("not the frames that were asked for", where=LABELLED)
        self.out("labelled", labelled)
        self.out("failures", failures)
