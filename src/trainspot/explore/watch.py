"""Watching the error bars of a run: a table, an atom property for dumps, and a limit."""

from __future__ import annotations

import csv
import math
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np

from trainspot.common.errors import InputError
from trainspot.common.properties import PROPERTIES
from trainspot.models.potential import caution
from trainspot.predictions.error_bars import FORMER_RATIO, NOVELTY, RATIO

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from trainspot.models.potential import ErrorBars

PROPERTY: Final = "d_uncertainty"
"""Atom property with the error bar of the force on each atom, eV/Å; can be dumped."""

COLUMNS: Final = ("step", "energy", "forces", "forces_max", "stress", RATIO, FORMER_RATIO, NOVELTY)
"""Of the table: eV/atom; eV/Å, root mean square and maximum over atoms; eV/Å³; Δ/τ, twice; and the
novelty."""


class Watch:
    """Watches the error bars while LAMMPS runs.

    Attributes:
        warning: Warning before the run if bars are not calibrated, or ``""``. The table has the
            warning too, in a comment above its header.

    Args:
        lmp: A running LAMMPS whose box exists; gets the atom property.
        table: File that gets a row every ``every`` steps, or ``None``.
        every: Steps between two rows.
        limit: Error bar of the force on an atom, eV/Å, beyond which the run ends, or ``None``.
        calibrated: See ``potential.Uncertain``.
        novelty: Steps between two computations of the novelty. The result holds until the next.

    Raises:
        InputError: The table cannot be written.
    """

    def __init__(
        self,
        lmp: Any,
        table: Path | None,
        every: int = 100,
        limit: float | None = None,
        *,
        calibrated: frozenset[str],
        novelty: int = 100,
    ) -> None:
        """Add the atom property and begin the table."""
        self.stopped = ""
        raw = [name for name in PROPERTIES if name not in calibrated]
        self.warning = caution(calibrated)
        if limit is not None and "forces" in raw:
            self.warning += f"; stop={limit:g} acts on them"
        self._lmp, self._every, self._limit = lmp, every, limit
        self._last = -1
        self._between, self._begun = novelty, False
        self._novelty: float | None = None
        self._file: IO[str] | None = None
        if table is not None:
            try:
                self._file = table.open("w", encoding="utf-8", newline="")
            except OSError as error:
                raise InputError("cannot be written", where=str(table)) from error
            if raw:
                self._file.write(f"# not calibrated, raw disagreements: {', '.join(raw)}\n")
            self._row(COLUMNS)
        lmp.command(f"fix trainspot_bars all property/atom {PROPERTY}")

    def needs_novelty(self, step: int) -> bool:
        """Whether this step is one at which the novelty is computed."""
        return not self._begun or step % self._between == 0

    def keep(self, novelty: NDArray[np.float64] | None) -> None:
        """Note the novelty of the present step, ``None`` if the model does not know it."""
        self._begun = True
        self._novelty = None if novelty is None else float(novelty[0])

    def see(self, step: int, order: NDArray[np.int64], bars: ErrorBars) -> bool:
        """Note the bars of a step; returns whether the run must end.

        Where the latest novelty is above 1, the table and the atom property have NaN: nothing is
        known about errors there. The limit still applies to the bars of the disagreement.

        Args:
            step: Number of the step.
            order: Where LAMMPS keeps the atoms of the frame, (n,).
            bars: Of the frame.

        Raises:
            InputError: The model has no error bars.
        """
        largest = float(bars.forces.max())
        if math.isnan(largest):
            raise InputError("a committee of one has no error bars")
        beyond = self._limit is not None and largest > self._limit
        if self._novelty is not None:
            bars = bars.with_novelty(self._novelty)
        self._lmp.numpy.extract_atom(PROPERTY)[order] = bars.forces
        if (step % self._every == 0 or beyond) and step != self._last:
            self._last = step
            ratio = bars.threshold_ratio
            worst = float(bars.forces.max())
            values = (
                *(bars.energy, bars.frame_forces, worst, bars.stress, ratio, ratio),
                bars.novelty,
            )
            self._row((step, *("" if v is None else f"{v:.6g}" for v in values)))
        if beyond:
            self.stopped = (
                f"step {step}: the error bar of a force, {largest:.3g} eV/Å, is beyond "
                f"{self._limit:g} eV/Å"
            )
        return beyond

    def close(self) -> None:
        """Close the table."""
        if self._file is not None:
            self._file.close()

    def _row(self, values: tuple[Any, ...]) -> None:
        if self._file is not None:
            csv.writer(self._file, lineterminator="\n").writerow(values)
            self._file.flush()
