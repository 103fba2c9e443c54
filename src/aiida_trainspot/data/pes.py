"""``PESData``: a dataset of frames as one AiiDA node."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from aiida.common.exceptions import ValidationError
from aiida.orm import Data

from trainspot import store
from trainspot.dataset import Dataset
from trainspot.errors import DataError
from trainspot.frames import Frame


class PESData(Data):
    """Frames of a potential-energy surface: geometry, labels, origin, split, any number of atoms.

    The columns lie in one HDF5 file of a fixed name, whose bytes depend on the content alone, so
    that equal datasets have equal hashes and AiiDA's cache finds them. Reading is lazy::

        with node.opened() as dataset:      # columns and frames come from disk when asked for
            energies = dataset.column("energy")
        dataset = node.dataset               # everything, in memory

    Args:
        dataset: The frames; omitted when AiiDA loads a stored node.
    """

    FILENAME: ClassVar[str] = "dataset.h5"

    def __init__(self, dataset: Dataset | Iterable[Frame] | None = None, **kwargs: Any) -> None:
        """Write the frames into the (unstored) node's repository."""
        super().__init__(**kwargs)
        frames = dataset if dataset is not None else []
        if not isinstance(frames, Dataset):
            frames = Dataset.from_frames(frames)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / self.FILENAME
            store.write(frames, path)
            self.base.repository.put_object_from_file(path, self.FILENAME)
        self.base.attributes.set_many(_summary(frames))

    @classmethod
    def from_file(cls, path: Path) -> PESData:
        """A node of a dataset file of ours, validated.

        Raises:
            DataError: The file is damaged or foreign.
        """
        return cls(store.read(path))

    @property
    def dataset(self) -> Dataset:
        """The whole dataset in memory."""
        with self.base.repository.open(self.FILENAME, "rb") as handle:
            return store.read(handle)

    @contextmanager
    def opened(self) -> Iterator[Dataset]:
        """The dataset, read lazily while the block lasts."""
        with self.base.repository.open(self.FILENAME, "rb") as handle, store.opened(handle) as data:
            yield data

    def __len__(self) -> int:
        """Number of frames, without reading the file."""
        return int(self.base.attributes.get("n_frames"))

    @property
    def n_labelled(self) -> int:
        """Number of labelled frames, without reading the file."""
        return int(self.base.attributes.get("n_labelled"))

    @property
    def species(self) -> list[str]:
        """Chemical symbols, without reading the file."""
        return list(self.base.attributes.get("species"))

    def _validate(self) -> None:
        """Refuse to store a node whose file is damaged or does not agree with its attributes."""
        super()._validate()
        if self.base.repository.list_object_names() != [self.FILENAME]:
            raise ValidationError(f"a PESData holds exactly one file, '{self.FILENAME}'")
        try:
            with self.opened() as dataset:
                store.check_values(dataset, self.FILENAME)
                summary = _summary(dataset)
        except DataError as error:
            raise ValidationError(str(error)) from error
        for name, value in summary.items():
            if self.base.attributes.get(name, None) != value:
                raise ValidationError(f"attribute '{name}' does not agree with the file")


def _summary(dataset: Dataset) -> dict[str, Any]:
    """What can be asked of a node without reading its file."""
    return {
        "n_frames": len(dataset),
        "n_labelled": int(dataset.is_labelled.sum()),
        "n_atoms": int(dataset.n_atoms.sum()),
        "species": dataset.species,
        "theories": dataset.theories,
    }
