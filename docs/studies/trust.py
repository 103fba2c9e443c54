"""Flags and error bars on frames of kinds that a committee has never seen: trains and predicts.

Small MACE committees on silicon (mlearn) and on the systems of ``trust_data.py``. The rules that were
fixed before are in ``trust-rules.md``::

    python docs/studies/trust.py --data mlearn-si --seeds 1 2 3   # hours; does what is missing
    python docs/studies/trust.py --pairs-only --data mlearn-si    # pairs of what was trained
    python docs/studies/trust_rules.py                            # judges the pairs

Everything is kept below ``--work``; a run that is stopped goes on with the member it was at. The
pairs go to ``trust-pairs.npz`` beside this file, where cases that were not computed stay.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import calibration
import numpy as np
import trust_systems
from trust_pairs import Case, merged, pairs

from trainspot import io
from trainspot.common.seeds import generator
from trainspot.data import hdf5
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.evaluate.batch import evaluate
from trainspot.models import potential
from trainspot.predictions.predictions import Predictions
from trainspot.train import run
from trainspot.train.base import member_seeds, reference_energies
from trainspot.train.mace_settings import MaceSettings

HERE: Final = Path(__file__).parent
LABELS: Final = HERE / "trust-data"
N_TRAIN, N_VALIDATION, MEMBERS, SHARE = 32, 20, 4, 0.25
SILICON: Final = ("surfaces", "all but strain", "bulk MD", "vacancies")
HOLD_OUTS: Final = {"far": 3, "all but bulk": 2}
"""Of the systems of ``trust_systems``: how many of the six motifs are known."""
SMALL: Final = {"batch_size": 4}
log = logging.getLogger("trust")


@dataclass(frozen=True)
class Setup:
    """One committee.

    Attributes:
        system: silicon, or a system of ``trust_systems``.
        hold_out: Name of the hold-out.
        seed: Of the draw of frames and of the members.
        bagging: Share of the training frames that each member leaves out.
    """

    system: str
    hold_out: str
    seed: int
    bagging: float

    @property
    def name(self) -> str:
        """Name of the folder and of the case."""
        bagged = "bagged" if self.bagging else "plain"
        return f"{self.system}-{self.hold_out.replace(' ', '_')}-{bagged}-{self.seed}"

    @property
    def known(self) -> tuple[str, ...]:
        """The motifs it is trained on."""
        if self.system == "silicon":
            left_out = calibration.HOLD_OUTS[self.hold_out]
            return tuple(one for one in calibration.MOTIFS if one not in left_out)
        return trust_systems.MOTIFS[self.system][: HOLD_OUTS[self.hold_out]]


def setups(systems: list[str], seeds: list[int]) -> Iterator[Setup]:
    """All committees in the order in which they are trained: seed by seed."""
    for seed in seeds:
        for rank in range(len(SILICON)):
            for system in systems:
                names = SILICON if system == "silicon" else tuple(HOLD_OUTS)
                if rank < len(names):
                    for share in (0.0, SHARE):
                        yield Setup(system, names[rank], seed, share)


def settings(system: str, dataset: Dataset) -> MaceSettings:
    """Those of the first study; with stresses if there are any; one set of reference energies."""
    has_stress = bool(dataset.column("has_stress").any())
    energies, _ = reference_energies(dataset.subset("train"))
    changes: dict[str, Any] = {"e0s": {chemical_symbols[z]: e for z, e in energies.items()}}
    if has_stress:
        changes |= {"loss": "stress", "stress_weight": 10.0}
    return calibration.SETTINGS.model_copy(update=changes)
