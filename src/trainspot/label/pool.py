"""Label engine ``pool``: labels looked up by frame id in a file of labelled frames."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from trainspot.common.errors import InputError, TrainspotError
from trainspot.common.text import counted
from trainspot.data.failure import without_failure
from trainspot.engine import Preflight, Remark
from trainspot.io.pool import read_pool
from trainspot.label.base import (
    EngineSettings,
    FrameEngine,
    LabelResult,
    failed,
    gathered,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from trainspot.data.dataset import Dataset
    from trainspot.data.frames import Frame, Labels


class PoolSettings(EngineSettings):
    """The file in which labels are looked up."""

    practical: ClassVar[frozenset[str]] = frozenset({"file"})  # its content decides, not its path

    file: str | None = Field(
        None,
        min_length=1,
        description="file of labelled frames, relative to the campaign file; in a campaign that "
        "explores a pool, null is the file of explore",
    )


class PoolLabelEngine(FrameEngine):
    """Looks labels up; a frame that the file lacks fails."""

    name: ClassVar[str] = "pool"
    Settings: ClassVar[type[PoolSettings]] = PoolSettings
    default_code: ClassVar[str] = "trainspot@localhost"
    pool_setting: ClassVar[str] = "file"
    looks_up: ClassVar[bool] = True

    @classmethod
    def preflight(cls, facts: Preflight) -> Iterator[Remark]:
        """Check that the file has labels, and those of the frames known so far."""
        if facts.settings.file is None:
            return
        try:
            pool = read_pool(facts.settings.file)
        except TrainspotError as error:
            yield Remark("error", f"label.file: {error}")
            return
        labelled = int(pool.is_labelled.sum())
        if not labelled:
            yield Remark("error", "label.file: no frame has an energy and forces")
            return
        if missing := len(look_up(pool, facts.unlabelled()).failures):
            yield Remark(
                "error",
                f"label.file: lacks {counted(missing, 'frame')} of the first dataset; frames that "
                "augmentation makes are in no pool (write augment: [])",
            )
        if labelled < len(pool):
            text = f"{len(pool) - labelled} of {counted(len(pool), 'frame')} have no label"
            yield Remark("warning", f"label.file: {text}: the campaign cannot learn from them")

    @classmethod
    def described(cls, settings: PoolSettings) -> str:
        """The file."""
        return f"labels in {Path(settings.file).name}" if settings.file else "labels of the pool"

    @classmethod
    def has_stress(cls, settings: PoolSettings) -> bool:
        """Whether a label in the file has a stress; true of a file that is not here."""
        try:
            return bool(read_pool(_named(settings)).column("has_stress").any())
        except TrainspotError:
            return True

    @staticmethod
    def theory(settings: PoolSettings) -> str:
        """The level of theory of the labels in the file; see ``read_pool``.

        Raises:
            InputError: No file, or no label in it.
        """
        file = _named(settings)
        if theories := read_pool(file).theories:
            return theories[0]
        raise InputError("no frame has an energy and forces", where=file)

    def label(
        self,
        dataset: Dataset,
        settings: PoolSettings,
        *,
        workers: int = 1,
        done: Callable[[Frame], None] | None = None,
    ) -> LabelResult:
        """Look up all labels; see the base class. One process is enough.

        Raises:
            InputError: No file, or the file cannot be used.
        """
        del workers
        result = look_up(read_pool(_named(settings)), dataset)
        for frame in (*result.labelled, *result.failures) if done is not None else ():
            assert done is not None
            done(frame)
        return result


def look_up(pool: Dataset, frames: Iterable[Frame]) -> LabelResult:
    """Labels of frames by id; a frame that the pool lacks, or has without labels, fails.

    Args:
        pool: Labelled frames, each id once.
        frames: The frames to label; their present labels are ignored.
    """
    rows = {identity: row for row, identity in enumerate(pool.ids)}
    return gathered(_labelled(frame, pool, rows) for frame in frames)


def _labelled(frame: Frame, pool: Dataset, rows: dict[str, int]) -> Frame:
    row = rows.get(frame.id)
    if row is None:
        return failed(frame, "the pool does not have this frame")
    labels: Labels = pool[row].labels
    if not labels.complete:
        return failed(frame, "the pool has this frame without an energy or without forces")
    return without_failure(frame).with_(labels=labels)


def _named(settings: PoolSettings) -> str:
    if settings.file is None:
        raise InputError("no file of labelled frames", hint="give label.file, or --pool FILE")
    return settings.file
