"""From a dataset file to a census and a page: ``inspected``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainspot import io
from trainspot.augment import record as records
from trainspot.common.errors import InputError
from trainspot.plausibility import doubts
from trainspot.report.dataset.census import Census, take_census

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def inspected(
    source: Path,
    *,
    page: Path | None = None,
    record: Path | None = None,
    sample: int,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Census:
    """Count a dataset file, and write a page about the file if ``page`` is given.

    Args:
        source: Any file that ``io.opened`` reads.
        page: Path of the page.
        record: Record of the augmentation that made the frames; by default the file beside them.
        sample: Largest number of frames whose distances are measured.
        seed: Seed of all random numbers.
        progress: Called with counted frames and all frames.

    Raises:
        InputError: No such file, unreadable, damaged, or without frames; nothing is written.
    """
    augmentation = records.read(record) if record else None
    with io.opened(source) as dataset:
        if not len(dataset):
            raise InputError("contains no frames", where=str(source))
        total = len(dataset)
        census = take_census(
            dataset,
            source.name,
            sample=sample,
            seed=seed,
            progress=(lambda count: progress(count, total)) if progress else None,
        )
        _remember(census, source, augmentation)
        census.doubts = doubts(dataset, seed=seed)
        if page is not None:
            from trainspot.report.dataset.page import html
            from trainspot.report.pages.skeleton import save

            save(html(census, dataset), page)
    return census


def _remember(census: Census, source: Path, augmentation: records.Record | None) -> None:
    """Add the record of the augmentation; a record beside the file must fit the frames."""
    census.record = augmentation
    beside = records.beside(source)
    if augmentation is None and beside.is_file():
        record = records.read(beside)
        if record.fingerprint == str(census.fingerprint):
            census.record = record
        else:
            census.remarks.append(f"{beside.name} is about other frames and was left out.")
    elif augmentation is not None and augmentation.fingerprint != str(census.fingerprint):
        census.remarks.append(
            f"The record of the augmentation is about other frames, {augmentation.frames} of them."
        )
