"""Coverage may only rise: compare a coverage report with the floor of each package.

Usage: python scripts/coverage_floor.py REPORT.json FLOOR.json [--raise]

FLOOR.json holds one percentage (lines and branches) a package. Falling below it fails; so does a
floor that is lower than any committed before. ``--raise`` lifts the floors to what was measured.
"""

from __future__ import annotations

import json
import math
import subprocess
from collections import Counter
from pathlib import Path

import click

HEADROOM = 1.0
"""Percentage points that coverage may be above the floor before raising it is suggested."""


def measured(report: dict, packages: list[str]) -> dict[str, float]:
    """Percentage of covered lines and branches of each package in a ``coverage json`` report."""
    covered, total = Counter(), Counter()
    for name, entry in report["files"].items():
        for package in set(Path(name).parts) & set(packages):
            summary = entry["summary"]
            covered[package] += summary["covered_lines"] + summary.get("covered_branches", 0)
            total[package] += summary["num_statements"] + summary.get("num_branches", 0)
    return {name: 100.0 * covered[name] / max(total[name], 1) for name in packages}


def highest_committed(path: Path) -> dict[str, float]:
    """The highest floor of each package in the history of the file that git has."""
    folder, best = path.resolve().parent, {}
    commits = _git(folder, "log", "--format=%H", "--", path.name).split()
    for commit in commits:
        text = _git(folder, "show", f"{commit}:./{path.name}")
        for name, floor in json.loads(text or "{}").items():
            best[name] = max(best.get(name, 0.0), floor)
    return best


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments],  # noqa: S607  (the git on PATH)
        cwd=folder,
        capture_output=True,
        check=False,
        text=True,
    )
    return done.stdout  # empty outside a repository: nothing was committed there


@click.command()
@click.argument("report", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("floor", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--raise", "lift", is_flag=True, help="Lift the floors to what was measured.")
def main(report: Path, floor: Path, lift: bool) -> None:
    """Compare a coverage REPORT with the FLOOR of each package."""
    floors = json.loads(floor.read_text(encoding="utf-8"))
    found = measured(json.loads(report.read_text(encoding="utf-8")), list(floors))
    failures = []
    for name, best in highest_committed(floor).items():
        if floors.get(name, 0.0) < best:
            failures.append(f"the floor of {name} fell from {best} to {floors.get(name, 0.0)}")
    for name, percent in found.items():
        click.echo(f"coverage of {name}: {percent:.1f} % (floor {floors[name]} %)")
        if percent < floors[name]:
            failures.append(f"coverage of {name} fell below {floors[name]} %: test what you added")
        elif percent > floors[name] + HEADROOM and not lift:
            click.echo("  raise the floor: python scripts/coverage_floor.py REPORT FLOOR --raise")
    if failures:
        raise click.ClickException("; ".join(failures))
    if lift:
        raised = {n: max(floors[n], math.floor(10 * p) / 10) for n, p in found.items()}
        floor.write_text(json.dumps(raised, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
