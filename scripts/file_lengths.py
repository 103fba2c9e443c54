"""Refuse Python files that grew too long to read in one go.

Usage: python scripts/file_lengths.py [FOLDER]
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

HARD_CAP = 400


def too_long(root: Path, cap: int = HARD_CAP) -> list[tuple[Path, int]]:
    """Python files of a git checkout with more than ``cap`` lines, and their lengths."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.py"],  # noqa: S607  (the git on PATH)
        cwd=root,
        capture_output=True,
        check=True,
        text=True,
    )
    paths = sorted({root / name for name in listing.stdout.split("\0") if name})
    lengths = [
        (path, len(path.read_text(encoding="utf-8").splitlines()))
        for path in paths
        if path.is_file()
    ]
    return [(path, length) for path, length in lengths if length > cap]


if __name__ == "__main__":
    found = too_long(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    for path, length in found:
        click.echo(f"{path}: {length} lines, more than {HARD_CAP}; split it", err=True)
    raise SystemExit(1 if found else 0)
