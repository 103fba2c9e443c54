"""The record of an augmentation, a JSON file beside its dataset: ``Record``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from trainspot.common.atomic_write import replacing
from trainspot.common.errors import DataError, InputError

if TYPE_CHECKING:
    from trainspot.augment.base import Strategy
    from trainspot.augment.steps import Augmented

FORMAT: Final = "trainspot-augmentation"
VERSION: Final = 1
_SUFFIX: Final = ".augment.json"


class Fingerprint:
    """A number that identifies a collection of frames, in any order and in constant memory.

    The sum of the frame ids, each of which is 256 random bits, modulo 2²⁵⁶. It does not depend on
    labels and splits: frames keep their fingerprint when they are labelled or split.
    """

    def __init__(self, ids: Iterable[str] = ()) -> None:
        """Start with these frames."""
        self._sum = 0
        self.add(ids)

    def add(self, ids: Iterable[str]) -> None:
        """Add frames by their ids.

        Raises:
            DataError: A text that is not a frame id.
        """
        for identity in ids:
            try:
                number = int(identity, 16)
            except ValueError:
                raise DataError(f"'{identity}' is not the id of a frame") from None
            self._sum = (self._sum + number) % (1 << 256)

    def __str__(self) -> str:
        """64 hexadecimal digits."""
        return f"{self._sum:064x}"


@dataclass(frozen=True)
class Record:
    """The parameters and the result of an augmentation.

    Attributes:
        frames: Number of frames.
        fingerprint: Identifies these frames, see ``Fingerprint``.
        seed: Determined all random numbers.
        vacuum: Å along every non-periodic direction.
        plan: The strategies with all their parameters.
        strategies: Frames that were kept, by strategy.
        refused: Number of refused frames, by reason.
        by_step: The same for each step of the plan, by its kind and place (``rattle_3``).
        notes: Further notes for the user, one line each.
    """

    frames: int
    fingerprint: str
    seed: int
    vacuum: float
    plan: list[dict[str, Any]]
    strategies: dict[str, int]
    refused: dict[str, int]
    by_step: dict[str, dict[str, int]]
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(
        cls, augmented: Augmented, plan: Sequence[Strategy], *, seed: int, vacuum: float
    ) -> Record:
        """The record of this augmentation."""
        return cls(
            frames=len(augmented.dataset),
            fingerprint=str(Fingerprint(augmented.dataset.ids)),
            seed=seed,
            vacuum=vacuum,
            plan=[strategy.model_dump(mode="json") for strategy in plan],
            strategies=augmented.dataset.counts("strategy"),
            refused=dict(augmented.refused),
            by_step={label: dict(counts) for label, counts in augmented.by_step.items()},
            notes=list(augmented.notes),
        )

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON values, with the name of its format."""
        return {"format": FORMAT, "version": VERSION, **asdict(self)}

    def write(self, dataset: Path) -> None:
        """Write the record beside a dataset file, atomically."""
        text = json.dumps(self.to_dict(), indent=1, ensure_ascii=False)
        with replacing(beside(dataset)) as path:
            path.write_text(text, encoding="utf-8")


def beside(dataset: Path) -> Path:
    """Path of the record of a dataset file: ``frames.h5.augment.json`` for ``frames.h5``."""
    return dataset.with_name(dataset.name + _SUFFIX)


def read(path: Path) -> Record:
    """The record in a file.

    Raises:
        InputError: No such file.
        DataError: Not a record of ours, or damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError("no such file", where=str(path)) from None
    except (ValueError, RecursionError) as error:
        raise DataError("not a record of an augmentation", where=str(path)) from error
    if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
        raise DataError("not a record of an augmentation", where=str(path))
    version = content.pop("version", None)
    if not isinstance(version, int) or not 1 <= version <= VERSION:
        raise DataError(f"a record of unknown version {version}", where=str(path))
    if not _sound(content):
        raise DataError("the record of an augmentation is damaged", where=str(path))
    return Record(**content)


def _sound(content: dict[str, Any]) -> bool:
    """Whether all fields are present and have the right types."""
    types = {
        "frames": int,
        "fingerprint": str,
        "seed": int,
        "vacuum": int | float,
        "plan": list,
        "strategies": dict,
        "refused": dict,
        "by_step": dict,
        "notes": list,
    }
    if content.keys() != types.keys():
        return False
    good = all(isinstance(content[name], kind) for name, kind in types.items())
    tables = [content["strategies"], content["refused"]] if good else []
    tables += content["by_step"].values() if good else []
    good = good and all(isinstance(note, str) for note in content["notes"])
    return good and all(_counts(table) for table in tables)


def _counts(table: Any) -> bool:
    return isinstance(table, Mapping) and all(isinstance(n, int) for n in table.values())
