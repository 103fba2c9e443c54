"""Frames labelled for real, for the contract of label engines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainspot.data.dataset import Dataset
from trainspot.data.failure import Failure, failure_of, reason_of, with_failure
from trainspot.data.frames import Frame, Labels, Origin
from trainspot.data.lattice import periodic_projector
from trainspot.label.base import LabelResult
from trainspot.testing.claims import Claims

_SAME = 1e-6  # eV, eV/Å, eV/Å³
_DIRECTION = np.array([0.6, 0.0, 0.8])
_UNKNOWN = 118
_COMPRESSION = 0.03


@dataclass(frozen=True)
class Labelling:
    """A label engine under test, with its settings and frames.

    Args:
        claims: About the engine.
        label: Labels a dataset with given settings.
        settings: An instance of the engine's ``Settings``.
        theory: Their fingerprint.
        frames: Frames that it can label.
    """

    claims: Claims
    label: Callable[..., LabelResult]
    settings: Any
    theory: str
    frames: Sequence[Frame]

    def check(self, failing: Frame | None, *, must_fail: bool) -> None:
        """Assert the contract of labelled and of failed frames.

        Args:
            failing: A frame that the engine cannot label, or ``None`` for one of element 118.
            must_fail: Whether this frame must fail.
        """
        origin = Origin("strategy", self.frames[0].id)
        frames = [frame.with_(origin=origin, split="train") for frame in self.frames]
        bad = failing or Frame.make(
            [_UNKNOWN] * 2, np.diag([0.0, 0.0, 2.0])[1:], np.eye(3) * 12, True
        )
        asked = Dataset.from_frames([frames[0], bad, *frames[1:]])
        before = _facts(asked)
        result = self._labelled(asked)
        self.claims(_facts(asked) == before, "the frames that were given are changed")
        self._check_order(asked, result, bad, must_fail=must_fail)
        labelled = {frame.id: frame for frame in result.labelled}
        for frame in frames:
            self._check_frame(frame, labelled[frame.id])
        self._check_failure(bad, result)
        self._check_others(frames, labelled)
        empty = self._labelled(asked[:0])
        self.claims(
            not len(empty.labelled) and not len(empty.failures), "an empty dataset gives frames"
        )

    def _labelled(self, dataset: Dataset, **more: Any) -> LabelResult:
        with self.claims.works(f"labelling {len(dataset)} frames"):
            result = self.label(dataset, self.settings, **more)
        self.claims(isinstance(result, LabelResult), "label() returns no LabelResult")
        return result

    def _check_order(
        self, asked: Dataset, result: LabelResult, bad: Frame, *, must_fail: bool
    ) -> None:
        labelled, failures = list(result.labelled.ids), list(result.failures.ids)
        if must_fail or bad.id in failures:
            self.claims(bad.id in failures, "a frame that cannot be labelled is not in failures")
        wrong = [identity for identity in failures if identity != bad.id]
        if wrong:
            rows = [row for row, frame in enumerate(self.frames) if frame.id in wrong]
            reason = reason_of(next(f for f in result.failures if f.id in wrong))
            self.claims(False, f"frames {rows} of those given to the check failed: {reason}")
        left = set(labelled) | set(failures)
        self.claims(left == set(asked.ids), "frames are missing or new")
        self.claims(len(labelled) + len(failures) == len(asked), "a frame comes back twice")
        order = [identity for identity in asked.ids if identity in labelled]
        self.claims(labelled == order, "labelled frames are not in the order in which they came")

    def _check_frame(self, frame: Frame, labelled: Frame) -> None:
        same = (
            np.array_equal(frame.positions, labelled.positions)
            and np.array_equal(frame.cell, labelled.cell)
            and np.array_equal(frame.pbc, labelled.pbc)
            and frame.origin == labelled.origin
            and frame.split == labelled.split
        )
        self.claims(same, "labelling changes geometry, origin or split of a frame")
        labels = labelled.labels
        self.claims(labels.theory == self.theory, f"labels have the theory '{labels.theory}'")
        self.claims(
            labels.energy is not None and np.isfinite(labels.energy), "an energy is not a number"
        )
        forces = np.asarray(labels.forces, dtype=np.float64)
        self.claims(forces.shape == (len(frame), 3), f"forces have the shape {forces.shape}")
        self.claims(np.all(np.isfinite(forces)), "a force is not a number")
        if not frame.pbc.any():
            self.claims(labels.stress is None, "a frame without periodic axes has a stress")
        if labels.stress is not None:
            stress = np.asarray(labels.stress)
            self.claims(stress.shape == (3, 3), f"stress has the shape {stress.shape}")
            self.claims(np.allclose(stress, stress.T, atol=_SAME), "stress is not symmetric")

    def _check_failure(self, bad: Frame, result: LabelResult) -> None:
        for frame in result.failures:
            self.claims(not frame.labels, "a failed frame has labels")
            reason = reason_of(frame)
            is_line = reason.strip() and "\n" not in reason
            self.claims(is_line, f"the reason of a failure is {reason!r}, not one line")
            self.claims(np.array_equal(frame.positions, bad.positions), "a failed frame is moved")

    def _check_others(self, frames: Sequence[Frame], labelled: dict[str, Frame]) -> None:
        """Labels depend neither on other frames nor on earlier labels."""
        wrong = Labels(1e3, np.ones((len(frames[-1]), 3)), None, "another")
        failed = with_failure(frames[-1].with_(labels=wrong, info={}), Failure("an earlier one"))
        again = [failed, frames[0]]
        result = self._labelled(Dataset.from_frames(again))
        self.claims(len(result.labelled) == len(again), "a frame that failed once always fails")
        for frame in result.labelled:
            self._check_same(
                frame.labels,
                labelled[frame.id].labels,
                "labels depend on other frames, on their order, or on labels that were there",
            )
            self.claims(failure_of(frame) is None, "a labelled frame keeps an earlier failure")

    def _check_same(self, first: Labels, second: Labels, claim: str) -> None:
        for name, a in _numbers(first).items():
            b = _numbers(second)[name]
            same = a.shape == b.shape and np.allclose(a, b, rtol=0.0, atol=_SAME)
            self.claims(same, f"{claim} ({name})")

    def check_looked_up(self) -> None:
        """Assert that the labels are those of the frames themselves."""
        labelled = {f.id: f for f in self._labelled(Dataset.from_frames(self.frames)).labelled}
        for frame in self.frames:
            if frame.labels:
                claim = "labels are not those of the file"
                self._check_same(labelled[frame.id].labels, frame.labels, claim)

    def check_derivatives(self, step: float, tolerance: float) -> None:
        """Assert forces and stress against energies of displaced and strained frames.

        The frames are compressed first, so that a stress of the wrong sign is clearly wrong.

        Args:
            step: Displacement of an atom, Å; a tenth of it is the strain.
            tolerance: Of forces, eV/Å; a fifth of it of stress, eV/Å³.
        """
        centres = [_deformed(frame, np.eye(3) - _COMPRESSION * _periodic(frame))
                   for frame in self.frames]  # fmt: skip
        moved: list[Frame] = []
        for frame in centres:
            shift = np.zeros((len(frame), 3))
            shift[-1] = step * _DIRECTION
            strain = _strain(frame, step / 10.0)
            moved += [
                _remade(frame, frame.positions + shift, frame.cell),
                _remade(frame, frame.positions - shift, frame.cell),
                _deformed(frame, np.eye(3) + strain),
                _deformed(frame, np.eye(3) - strain),
            ]
        labelled = self._labelled(Dataset.from_frames(centres)).labelled
        distinct = {frame.id: frame for frame in moved}
        energies = {
            frame.id: frame.labels.energy or 0.0
            for frame in self._labelled(Dataset.from_frames(distinct.values())).labelled
        }
        self.claims(energies.keys() == distinct.keys(), "frames that are slightly displaced fail")
        self.claims(len(labelled) == len(centres), "frames that are slightly compressed fail")
        for row, frame in enumerate(labelled):
            there, back, wide, narrow = (energies[f.id] for f in moved[4 * row : 4 * row + 4])
            forces = np.asarray(frame.labels.forces)
            slope = (there - back) / (2.0 * step)
            wrong = abs(forces[-1] @ _DIRECTION + slope)
            self.claims(
                wrong < tolerance,
                f"forces are not minus the gradient of the energy, in eV/Å ({wrong:.2g} off)",
            )
            if frame.labels.stress is None:
                continue
            strain = _strain(frame, step / 10.0)
            work = (wide - narrow) / 2.0 / abs(np.linalg.det(frame.cell))
            wrong = abs((frame.labels.stress * strain).sum() - work) / np.linalg.norm(strain)
            self.claims(
                wrong < tolerance / 5.0,
                "stress is not the strain derivative of the energy per volume, in eV/Å³ and "
                f"positive under tension ({wrong:.2g} off)",
            )

    def check_workers(self) -> None:
        """Assert that two workers give the same numbers and report every frame."""
        asked = Dataset.from_frames(self.frames)
        seen: list[str] = []
        alone = self._labelled(asked, done=lambda frame: seen.append(frame.id))
        self.claims(sorted(seen) == sorted(asked.ids), "done() does not see every frame once")
        shared = self._labelled(asked, workers=2)
        self.claims(list(shared.labelled.ids) == list(asked.ids), "two workers change the order")
        for first, second in zip(alone.labelled, shared.labelled, strict=True):
            self._check_same(first.labels, second.labels, "two workers give other numbers than one")


def _strain(frame: Frame, size: float) -> Any:
    """A strain of the periodic directions, (3, 3), symmetric."""
    general = size * np.array([[1.0, 0.3, 0.2], [0.3, -0.5, 0.4], [0.2, 0.4, 0.7]])
    return _periodic(frame) @ general @ _periodic(frame)


def _periodic(frame: Frame) -> Any:
    """The projector onto the periodic directions, (3, 3)."""
    return periodic_projector(frame.cell, frame.pbc)


def _remade(frame: Frame, positions: Any, cell: Any) -> Frame:
    return Frame.make(frame.numbers, positions, cell, frame.pbc, **frame.handed_on())


def _deformed(frame: Frame, deformation: Any) -> Frame:
    return _remade(frame, frame.positions @ deformation, frame.cell @ deformation)


def _numbers(labels: Labels) -> dict[str, Any]:
    """The labels as arrays; an absent label is an empty array."""
    values = {"energy": labels.energy, "forces": labels.forces, "stress": labels.stress}
    return {
        name: np.zeros(0) if value is None else np.asarray(value, dtype=np.float64)
        for name, value in values.items()
    }


def _facts(dataset: Dataset) -> list[tuple[Any, ...]]:
    """The parts of frames that must not change, for comparison."""
    return [
        (frame.id, frame.positions.tobytes(), frame.cell.tobytes(), frame.labels.theory, frame.info)
        for frame in dataset
    ]
