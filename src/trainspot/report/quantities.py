"""Names, scales and formats of the quantities of a report.

All values inside the project are in eV and Å; a report shows errors in meV/atom, meV/Å and meV/Å³.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from trainspot.common.properties import WORDS


@dataclass(frozen=True, slots=True)
class Quantity:
    """One property of a potential as a report shows it.

    Attributes:
        key: Name in ``status.json``: ``energy``, ``forces`` or ``stress``.
        title: Name in headings and axis labels.
        unit: Unit of errors, disagreements and tolerances as shown.
        scale: Shown value = ``scale`` × internal value.
        base_unit: Unit of the values themselves (not of their errors).
    """

    key: str
    title: str
    unit: str
    scale: float
    base_unit: str

    def show(self, value: float) -> str:
        """An internal value (eV, Å) with its unit, three significant digits, never broken."""
        return f"{number(value * self.scale)}\N{NO-BREAK SPACE}{self.unit}"

    def show_exact(self, value: float) -> str:
        """A value that a user chose, in the form of the user: ``100 meV/Å``, not ``100.0``."""
        return f"{value * self.scale:.6g}\N{NO-BREAK SPACE}{self.unit}"


QUANTITIES: Final = tuple(
    Quantity(name, words.title, f"m{words.unit}", 1000.0, words.unit)
    for name, words in WORDS.items()
)
"""In the order of every table and figure."""

BY_KEY: Final = {quantity.key: quantity for quantity in QUANTITIES}


_LEAST: Final = 1e-6


def number(value: float, digits: int = 3) -> str:
    """A number with so many significant digits, without exponents; ``–`` if it is not finite.

    What is below a millionth is rounding, and written ``≈ 0``.
    """
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    if abs(value) < _LEAST:
        return "≈ 0"
    places = digits - 1 - int(f"{value:.{digits - 1}e}".partition("e")[2])
    if places < 0:
        return f"{round(value):,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    return f"{value:.{places}f}"


def plus_minus(mean: float, std: float) -> str:
    """``mean ± std``, both to the last digit that two digits of ``std`` justify."""
    if not (math.isfinite(mean) and math.isfinite(std)) or std <= 0:
        return number(mean)
    places = max(0, 1 - math.floor(math.log10(std)))
    return f"{mean:.{places}f} ± {std:.{places}f}"


def duration(seconds: float) -> str:
    """A time span in words: ``45 s``, ``2 min 05 s``, ``3 h 20 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{number(seconds, 2)} s" if seconds < 10 else f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"
