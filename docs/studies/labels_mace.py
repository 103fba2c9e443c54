r"""The spot check of the study of labels with MACE: its tables and its figure, from its JSON.

The campaigns are those of one command, which takes about 25 minutes of one core::

    trainspot rehearse docs/studies/labels-mace.yaml --oracle tersoff --trainer mace --seeds 2 \
        --test-frames 36 --keep kept --json > docs/studies/labels-mace.json
    python docs/studies/labels_mace.py

The second line reads what the first has written, prints what it found, and draws the figure of the
page ``docs/explanation/labels-study.md``.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

from trainspot.rehearse import figures, page
from trainspot.rehearse.cost import CostModel
from trainspot.rehearse.outcome import Outcome
from trainspot.rehearse.trial import Track
from trainspot.report.pages.style import save_png

HERE: Final = Path(__file__).parent
SEED: Final = 2026
"""Of the campaign file; the bootstrap starts from it."""


def outcome(content: dict[str, Any]) -> Outcome:
    """A rehearsal as ``trainspot rehearse --json`` printed it."""
    cost = CostModel(content["cost"]["seconds"], content["cost"]["exponent"])
    tracks = [Track.from_dict(run) for arm in content["arms"].values() for run in arm["runs"]]
    oracle, trainer = content["oracle"], content["trainer"]
    return Outcome(
        content["name"], SEED, oracle, trainer, cost, content["test"], tracks, content["notes"]
    )


def main() -> None:
    """Read, print, draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, default=HERE / "labels-mace.json")
    parser.add_argument("--figures", type=Path, default=HERE.parent / "images")
    options = parser.parse_args()
    found = outcome(json.loads(options.json.read_text(encoding="utf-8")))
    sys.stdout.write(page.text(found) + "\n")
    save_png(figures.curves(found), options.figures / "labels-mace.png", dpi=110)


if __name__ == "__main__":
    main()
