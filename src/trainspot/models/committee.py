"""A committee as one potential: the mean of its members, with calibrated error bars."""

from __future__ import annotations

import math
import warnings
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import numpy as np

from trainspot.common.errors import InputError, MissingExtraError
from trainspot.data import lattice
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels
from trainspot.descriptors import require
from trainspot.models import potential
from trainspot.models.exported import CALIBRATION, CalibrationFile
from trainspot.models.novelty_file import read_domain
from trainspot.models.potential import Composite, ErrorBars, Potential, Uncertain
from trainspot.predictions.domain import Domain
from trainspot.predictions.error_bars import NINETY, RATIO, Trust, calibrated
from trainspot.predictions.predictions import Predictions
from trainspot.predictions.statistics import Array

KIND: Final = "committee"


class CommitteePotential(Uncertain, Composite):
    """The mean of a committee; see ``trainspot.models.potential.Uncertain``.

    Error bars are scale × disagreement (formula: ``trainspot.predictions.statistics``, sample
    variance). The scales, one for frames and one for the forces on single atoms, were fitted on
    frames like those of the test split; for very different frames a bar is a rough estimate. If no
    scale was fitted for atoms, their bars have the scale of frames.

    Args:
        members: The committee.
        trust: Calibration of each calibrated property; other bars are raw disagreements.
        domain: The training frames, for novelty; ``None``: not known.

    Raises:
        InputError: No member, or members that know different elements.
    """

    kind: ClassVar[str] = KIND

    def __init__(
        self,
        members: Sequence[Potential],
        trust: Mapping[str, Trust] | None = None,
        domain: Domain | None = None,
    ) -> None:
        """Keep the members, their calibration and their domain."""
        if not members:
            raise InputError("a committee needs at least one model")
        self.members = list(members)
        self.trust = dict(trust or {})
        self.domain = domain
        self.calibrated = frozenset(self.trust)
        self.cutoff = max(member.cutoff for member in members)
        shared = set.intersection(*(set(member.numbers) for member in members))
        self.numbers = tuple(sorted(shared))
        self.graph_key: Hashable = (KIND, *(member.graph_key for member in members))

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether this is a folder of ``trainspot export``."""
        return path.is_dir() and (path / CALIBRATION).is_file()

    @classmethod
    def files(cls, path: Path) -> list[Path]:
        """The model files of an exported committee, in its order.

        Raises:
            InputError: Not such a folder.
            DataError: A file is damaged.
        """
        return CalibrationFile.of_export(path).model_files

    @classmethod
    def load(cls, path: Path, *, dtype: str = "float64", device: str = "cpu") -> Self:
        """Load an exported committee.

        Without the library of descriptors, one warning says that novelty is not computed.

        Raises:
            InputError: Not such a folder, or a model kind that is not installed.
            DataError: A file is damaged.
        """
        calibration = CalibrationFile.of_export(path)
        files = calibration.model_files
        members = [potential.load(file, dtype=dtype, device=device) for file in files]
        domain, missing = usable_domain(path)
        if missing:
            warnings.warn(missing, stacklevel=2)
        return cls(members, calibration.trust(), domain)

    def novelty(self, frames: Sequence[Frame]) -> Array | None:
        """See ``Uncertain.novelty``; ``None`` for an export without ``novelty.h5``."""
        if self.domain is None:
            return None
        return self.domain.novelty(Dataset.from_frames(frames))

    def prepare(self, frames: Sequence[Frame]) -> tuple[list[Frame], dict[Hashable, Any]]:
        """Neighbour lists of the members, shared by members with the same graph key."""
        prepared: dict[Hashable, Any] = {}
        for member in self.members:
            if member.graph_key not in prepared:
                prepared[member.graph_key] = member.prepare(frames)
        return list(frames), prepared

    def predict(self, prepared: tuple[list[Frame], dict[Hashable, Any]]) -> list[Labels]:
        """The mean over the members; no stress if one of the members has none."""
        return [labels for labels, _ in self.predict_with_bars(prepared)]

    def predict_with_bars(
        self, prepared: tuple[list[Frame], dict[Hashable, Any]]
    ) -> list[tuple[Labels, ErrorBars]]:
        """The mean with error bars; a bar without calibration is a raw disagreement.

        The bars of a committee of one are NaN.
        """
        frames, graphs = prepared
        spoken = [member.predict(graphs[member.graph_key]) for member in self.members]
        return [
            self._one(frame, [labels[row] for labels in spoken]) for row, frame in enumerate(frames)
        ]

    def _one(self, frame: Frame, spoken: Sequence[Labels]) -> tuple[Labels, ErrorBars]:
        predicted = _predictions(frame, spoken)
        has_stress = bool(predicted.has_stress[0])
        mean = Labels(
            float(predicted.energy.mean()),
            predicted.forces.mean(axis=0),
            predicted.stress.mean(axis=0)[0] if has_stress else None,
        )
        if len(self.members) < 2:
            nothing = np.full(len(frame), math.nan)
            return mean, ErrorBars(math.nan, nothing, math.nan, None, None)
        raw = predicted.disagreement()
        sigmas = calibrated(raw, predicted.has_stress, self.trust)
        of_frame = {name: float(value[0]) for name, value in (raw | sigmas).items()}
        trust = self.trust.get("forces", Trust(1.0, math.inf))
        of_atoms, wide = predicted.atom_disagreement(), trust.atom_wide or trust.wide
        bars = ErrorBars(
            energy=of_frame["energy"],
            forces=(trust.atom_scale or trust.scale) * of_atoms,
            frame_forces=of_frame["forces"],
            stress=of_frame["stress"] if has_stress else None,
            threshold_ratio=of_frame.get(RATIO),
            energy_90=of_frame.get(f"energy{NINETY}"),
            forces_90=None if wide is None else wide * of_atoms,
            frame_forces_90=of_frame.get(f"forces{NINETY}"),
            stress_90=of_frame.get(f"stress{NINETY}") if has_stress else None,
        )
        return mean, bars


def usable_domain(path: Path) -> tuple[Domain | None, str]:
    """The domain of an exported folder, or why it cannot be used although there is one.

    Raises:
        DataError: The file is damaged.
    """
    domain = read_domain(path)
    if domain is None:
        return None, ""
    try:
        require()
    except MissingExtraError as error:
        return None, f"no novelty: {error}"
    return domain, ""


def _predictions(frame: Frame, spoken: Sequence[Labels]) -> Predictions:
    """The predictions of the members for one frame, for the statistics."""
    n, periodic = len(frame), all(labels.stress is not None for labels in spoken)
    projector = lattice.periodic_projector(frame.cell[None], frame.pbc[None])
    zero = np.zeros((3, 3))
    return Predictions(
        np.array([frame.id.encode()]),
        np.array([0, n]),
        np.array([[labels.energy] for labels in spoken], dtype=np.float64),
        np.array([labels.forces for labels in spoken], dtype=np.float64),
        np.array([[labels.stress if periodic else zero] for labels in spoken], dtype=np.float64),
        projector if periodic else np.zeros_like(projector),
        tuple(f"member_{j}" for j in range(len(spoken))),
    )
