"""Phrases that messages to the user share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_REASONS: Final = 4


def counted(number: int, thing: str) -> str:
    """``1 frame``, ``2 frames``: a number and a noun, whose plural ends in s."""
    return f"{number} {thing}" + ("" if number == 1 else "s")


def sentences(*parts: str) -> str:
    """One sentence for each part, which has no full stop; without the empty parts."""
    return " ".join(f"{part}." for part in parts if part)


def most(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Counts by their names, the largest first."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def listed(counts: Mapping[str, int]) -> str:
    """``overlap (3), force (1)``: the most frequent reasons, and the number of the others."""
    ordered = most(counts)
    reasons = [f"{words} ({n})" for words, n in ordered[:_MOST_REASONS]]
    if rest := sum(n for _, n in ordered[_MOST_REASONS:]):
        reasons.append(f"other reasons ({rest})")
    return ", ".join(reasons)


def broken_off(failed: int | None, runs: int | None, by_reason: Mapping[str, int] | None) -> str:
    """How many runs of molecular dynamics did not reach their end, and why; empty for none.

    Args:
        failed: Number of these runs.
        runs: Number of all runs, if known.
        by_reason: Number of these runs by reason, if known.
    """
    if not failed:
        return ""
    share = f"{failed} of {counted(runs, 'run')}" if runs else counted(failed, "run")
    reasons = listed(by_reason or {})
    end = f"{share} broke off before {'its' if failed == 1 else 'their'} end"
    return f"{end}: {reasons}" if reasons else end


def is_number(word: str) -> bool:
    """Whether a word of a file is a number as Python reads it."""
    try:
        float(word)
    except ValueError:
        return False
    return True


def screen_audit(labelled: int, physical: int) -> str:
    """``1 of 3 labelled frames that the screen refused was physical (…)``."""
    return (
        f"{physical} of {counted(labelled, 'labelled frame')} that the screen refused "
        f"{'was' if physical == 1 else 'were'} physical (DFT forces below screen.max_force)"
    )
