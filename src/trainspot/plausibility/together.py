"""Labels that contradict each other: energies, forces and stresses of similar frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainspot.common.text import counted
from trainspot.plausibility.causes import explanations, is_sure
from trainspot.plausibility.doubt import Doubt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainspot.plausibility.slopes import Slope, Slopes


def contradictions(slopes: Slopes) -> Iterator[Doubt]:
    """Doubts from the slopes: none, or one that explains both."""
    wrong = {
        name: (what, slope)
        for name, what, slope in (
            ("forces", "-F·Δr", slopes.forces),
            ("stress", "V·σ·ε", slopes.stress),
        )
        if slope is not None and slope.contradicts
    }
    if not wrong:
        return
    comparisons = " and ".join(
        f"{what} is about {_times(slope)} ΔE" for what, slope in wrong.values()
    )
    names = " and ".join("stresses" if name == "stress" else name for name in wrong)
    text = f"{names} contradict the energies: between similar frames {comparisons} "
    text += f"({counted(slopes.pairs, 'pair')}); "
    if slopes.per_atom:
        remedy = "energies per atom (multiply each by its number of atoms)?"
        yield Doubt("energy-per-atom", text + remedy)
        return
    causes = explanations(slopes)
    if not causes and not is_sure(slopes):
        return  # frames that are far from one another, rather than units
    why = " or ".join(cause.words for cause in causes) or "units that do not belong together"
    factors = causes[0].factors if len(causes) == 1 else {}
    factor = next(iter(factors.values())) if len(factors) == 1 else None
    kind = f"{'-and-'.join(wrong)}-against-energy"
    yield Doubt(kind, f"{text}{why}?", factor)


def _times(slope: Slope) -> str:
    """The inverse of a slope, as a multiple of ΔE; two digits for large numbers."""
    value = 1.0 / slope.value
    rounded = float(f"{value:.2g}" if abs(value) >= 99.5 else f"{value:.3g}")
    return f"{rounded:.10g} times"
