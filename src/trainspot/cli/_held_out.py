"""Audit marks, and the frames that ``trainspot calibrate`` uses: the same as in a campaign."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trainspot.cli import _messages
from trainspot.common.errors import InputError
from trainspot.common.text import counted
from trainspot.data.dataset import Dataset
from trainspot.data.frames import SPLITS
from trainspot.judge.pairs import Pairs, collect_pairs
from trainspot.predictions.predictions import Predictions

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

AUDIT: Final = "audit"
"""Key of the metadata that marks a frame as drawn at random from an exploration."""

_TEST: Final = 1 + SPLITS.index("test")


def marked(frames: Dataset, audit: Collection[str]) -> Dataset:
    """The frames, with the mark on those of an audit."""
    drawn = set(audit)
    return Dataset.from_frames(
        frame.with_(info={**frame.info, AUDIT: True}) if frame.id in drawn else frame
        for frame in frames
    )


def audit_pairs(frames: Dataset, rounds: Sequence[Path], reference: Path) -> Pairs:
    """Δ and e of the audit frames of earlier rounds, from the committees that judged them.

    Args:
        frames: The labelled dataset; its audit frames are marked.
        rounds: Predictions of each round, the oldest first.
        reference: File of the dataset, for messages.

    Raises:
        InputError: A round has no labelled audit frame.
    """
    labelled = frames.labelled()
    ids = {frame.id for frame in labelled if frame.info.get(AUDIT)} if rounds else set()
    parts = []
    for path in rounds:
        predicted = Predictions.read(path)
        mine = labelled.select([i for i in predicted.ids if i in ids])
        if not len(mine):
            raise InputError(
                f"no labelled frame of {reference} is marked as audit frame of this round",
                where=str(path),
                hint="give the predictions from which 'trainspot select' drew audit frames, and "
                "label its output",
            )
        ids -= set(mine.ids)  # a later round predicts the frame after the training on it
        parts.append(collect_pairs(mine, predicted, trained=()))
    return Pairs.concatenate(parts)


def validation_pairs(
    frames: Dataset, predicted: Predictions, reference: Path, predictions: Path
) -> Pairs:
    """Δ and e of the validation frames, and with a warning of frames without a split.

    Test frames count, with a warning, only where there are no other held-out frames.

    Raises:
        InputError: No frame was evaluated that the committee was not trained on.
    """
    pairs = collect_pairs(frames, predicted)
    if not len(pairs):
        raise InputError(
            f"has no label for any frame of {predictions}",
            where=str(reference),
            hint="give the labelled dataset that was evaluated",
        )
    if not pairs.held_out.any():
        raise InputError(
            "only training frames were evaluated",
            where=str(reference),
            hint="evaluate validation frames too",
        )
    split = frames.select(pairs.frame_ids).column("split")
    if unknown := int((split == 0).sum()):
        _messages.warning(
            f"{counted(unknown, 'frame')} of {reference} without a split counted as held out; if "
            "the committee was trained on such frames, the thresholds are too high"
        )
    is_test = split == _TEST
    rest = pairs.held_out & ~is_test
    if not rest.any():
        tested = counted(int(is_test.sum()), "test frame")
        _messages.warning(
            f"{reference} has no validation frames, so {tested} counted instead; they cannot test "
            "these thresholds any more"
        )
        return pairs
    return pairs.only([i for i, out in zip(pairs.frame_ids, rest, strict=True) if out])
