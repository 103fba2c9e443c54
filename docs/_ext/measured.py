"""The page of measured benchmarks, from the JSON files that ``make bench`` wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "benchmarks"
HEADER = ("row", "unit", "ours", "baseline", "ratio", "spread", "repeats", "target", "")


def documents(folder: Path = FOLDER) -> list[dict[str, Any]]:
    """The results that are kept with the documentation, by name."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]


def section(document: Mapping[str, Any]) -> tuple[str, list[Sequence[str]]]:
    """What was measured where, as Markdown, and the cells of the table."""
    machine, versions = document["machine"], document["versions"]
    packages = ", ".join(f"{name} {number}" for name, number in versions.items())
    text = f"## `benchmarks/{document['benchmark']}.py`\n\n{document['description']}\n\n"
    text += (
        f"*Measured {document['date']} on {machine['cores']} cores ({machine['processor']}, "
        f"{machine['memory_gib']} GiB, {machine['system']}, Python {machine['python']}) in "
        f"{document['seconds'] / 60:.0f} minutes; average load {document['load'][0]:g} at the "
        f"start and {document['load'][1]:g} at the end. {packages}.*\n\n"
    )
    return text, [_cells(row) for row in document["rows"]]


def notes(document: Mapping[str, Any]) -> str:
    """What each row did, as a list."""
    lines = []
    for row in document["rows"]:
        note = f" ({row['note']})" if row["note"] else ""
        lines.append(f"- {row['name']}: {row['work']}{note}.")
    return "\n".join(lines) + "\n"


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    absent = "–"
    return (
        row["name"],
        row["unit"],
        figure(row["ours"]),
        absent if row["baseline"] is None else figure(row["baseline"]),
        absent if row["ratio"] is None else figure(row["ratio"]),
        " to ".join(map(figure, row["spread"])),
        str(row["repeats"]),
        absent if row["target"] is None else _target(row["target"]),
        {None: "", True: "met", False: "**missed**"}[row["met"]],
    )


def _target(target: Mapping[str, Any]) -> str:
    return f"{target['of']} {target['sense']} {figure(target['value'])}"


def figure(value: float) -> str:
    """Three significant digits."""
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        digits = f"{value:.3g}"
        return f"{float(digits):,.0f}" if "e" in digits else digits
    return f"{value:.2e}"
