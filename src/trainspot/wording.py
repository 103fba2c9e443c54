"""How messages to the user are put."""

from __future__ import annotations


def counted(number: int, thing: str) -> str:
    """``1 frame``, ``2 frames``: a number and what it counts, a word with a plural in s."""
    return f"{number} {thing}" + ("" if number == 1 else "s")


def sentences(*parts: str) -> str:
    """Parts without a full stop, one sentence each; empty ones are left out."""
    return " ".join(f"{part}." for part in parts if part)
