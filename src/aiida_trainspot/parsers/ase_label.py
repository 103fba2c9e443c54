"""Parser of ``trainspot label``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiida_trainspot.calculations.ase_label import FAILURES, JOURNAL, LABELLED
from aiida_trainspot.data.pes import PESData
from aiida_trainspot.parsers.base import TrainspotParser, required
from trainspot.errors import DataError, OutputMissingError
from trainspot.label import journal
from trainspot.label.ase import AseLabelEngine
from trainspot.label.base import engine, former_theories
from trainspot.settings import parse_settings

if TYPE_CHECKING:
    from pathlib import Path


class AseLabelParser(TrainspotParser):
    """Labelled and failed frames; together they are the frames that were asked for.

    Of a job that was cut off, those that it had done.
    """

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

    def salvage(self, directory: Path, temporary: Path | None) -> None:
        """Attach what the journal holds, if it is this job's."""
        del directory
        if temporary is None or not (temporary / JOURNAL).is_file():
            return
        settings = parse_settings(AseLabelEngine.Settings, self.node.inputs.settings.get_dict())
        asked = self.node.inputs.dataset.dataset
        theory, former = (
            AseLabelEngine.theory(settings),
            former_theories(engine("ase")(), settings),
        )
        try:
            found = journal.read(temporary / JOURNAL, asked, theory, former)
        except DataError as error:
            self.logger.warning("nothing is salvaged: %s", error)
            return
        self.out("labelled", PESData(found.labelled))
        self.out("failures", PESData(found.failures))
