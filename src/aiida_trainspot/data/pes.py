"""``PESData``: an AiiDA node that holds a dataset of frames."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Self

from aiida.common.exceptions import ValidationError
from aiida.orm import Data, SinglefileData
from ase import Atoms
from numpy.typing import NDArray

from aiida_trainspot.data.predictions import read_predictions
from trainspot import io
from trainspot.common.errors import DataError
from trainspot.data import hdf5
from trainspot.data.dataset import CHUNK, Dataset
from trainspot.data.frames import Frame, Split
from trainspot.data.hdf5_columns import Layout, layout
from trainspot.predictions.accuracy import Accuracy, accuracy
from trainspot.predictions.predictions import Predictions


class PESData(Data):
    """Frames of a potential-energy surface: geometry, labels, strategy, split, any number of atoms.

    The columns are in one HDF5 file with a fixed name. Its bytes depend only on the content, so
    that equal datasets have equal hashes and AiiDA's cache can reuse them. Reading is lazy::

        for frame in node:                  # in chunks: constant memory, may be nested
            ...
        node[5], node.by_id(identity)       # one frame
        energies = node.column("energy")    # one column
        node.subset("train").labelled()     # selections are datasets in memory
        with node.opened() as dataset:      # everything a Dataset can, opened once for many calls
            ...

    ``PESData(selection)`` makes a node of a selection. Do this in a calcfunction to keep its
    provenance.

    Args:
        dataset: The frames; omitted when AiiDA loads a stored node.
        metadata: Information about the whole dataset (source, settings, figures) as JSON values.
            It is part of the node and its hash, and is not written to files. Information about a
            single frame is in ``Frame.info``.
    """

    FILENAME: ClassVar[str] = "dataset.h5"

    def __init__(
        self,
        dataset: Dataset | Iterable[Frame] | None = None,
        *,
        metadata: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Write the frames into the (unstored) node's repository."""
        super().__init__(**kwargs)
        frames = dataset if dataset is not None else []
        if not isinstance(frames, Dataset):
            frames = Dataset.from_frames(frames)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / self.FILENAME
            hdf5.write(frames, path)
            self.base.repository.put_object_from_file(path, self.FILENAME)
            with hdf5.opened(path) as written:
                self.base.attributes.set_many(_summary(written))
        if metadata:
            self.base.attributes.set("metadata", dict(metadata))

    # ── making ────────────────────────────────────────────────────────────────
    @classmethod
    def from_file(
        cls, path: Path | str, *, theory: str = "", metadata: Mapping[str, Any] | None = None
    ) -> Self:
        """A node from a file, checked frame by frame: our ``.h5``, or any format of ``io.read``.

        Our own files are copied in chunks, so that they may be larger than the memory.

        Args:
            path: The file.
            theory: Level of theory of labels that come without one.
            metadata: See ``PESData``.

        Raises:
            InputError: The file does not exist, or its structures cannot be used.
            DataError: The dataset file is damaged or foreign.
        """
        with io.opened(path, theory=theory) as dataset:
            return cls(dataset, metadata=metadata)

    @classmethod
    def from_ase(
        cls,
        structures: Iterable[Atoms],
        *,
        theory: str = "",
        metadata: Mapping[str, Any] | None = None,
    ) -> Self:
        """A node from ASE structures; labels are ``REF_…`` or a calculator's results.

        Args:
            structures: The structures.
            theory: Level of theory of labels that come without one.
            metadata: See ``PESData``.

        Raises:
            InputError: A structure that cannot be used; the message counts from 1.
        """
        return cls(io.from_images(structures, theory=theory), metadata=metadata)

    # ── reading ───────────────────────────────────────────────────────────────
    @property
    def dataset(self) -> Dataset:
        """The whole dataset in memory."""
        with self._file() as handle:
            return hdf5.read(handle, self._name, layout=self._layout)

    @contextmanager
    def opened(self) -> Iterator[Dataset]:
        """The dataset, read lazily within the block: for many calls on one node.

        Raises:
            DataError: The file is damaged.
        """
        with (
            self._file() as handle,
            hdf5.opened(handle, self._name, layout=self._layout) as dataset,
        ):
            yield dataset

    @contextmanager
    def _file(self) -> Iterator[BinaryIO]:
        """The open file; for a stored node by its key, with one look-up in AiiDA's index."""
        if not self.is_stored:
            with self.base.repository.open(self.FILENAME, "rb") as handle:
                yield handle
            return
        key = self.base.repository.get_object(self.FILENAME).key
        with closing(self.backend.get_repository().iter_object_streams([key])) as streams:
            for _, handle in streams:
                yield handle
                return
        raise DataError("its file is missing from the AiiDA repository", where=self._name)

    @property
    def _layout(self) -> Layout | None:
        """Positions of the columns in the file, which was checked when the node was stored."""
        stored_layout: Layout | None = self.base.attributes.get("layout", None)
        return stored_layout

    @property
    def _name(self) -> str:
        return f"PESData<{self.pk or 'unstored'}>"

    def chunks(self, size: int = CHUNK) -> Iterator[Dataset]:
        """Consecutive datasets in memory of at most ``size`` frames."""
        with self.opened() as dataset:
            yield from dataset.chunks(size)

    def __iter__(self) -> Iterator[Frame]:
        """Frames in order, read in chunks; all iterators are independent."""
        return self.frames()

    def frames(
        self, *, split: Split | None = None, labelled: bool | None = None
    ) -> Iterator[Frame]:
        """Frames in order, read in chunks: constant memory however long the dataset.

        Args:
            split: Only the frames of this split.
            labelled: Only labelled frames (true) or unlabelled frames (false).
        """
        with self.opened() as dataset:
            yield from dataset.frames(split=split, labelled=labelled)

    def __getitem__(self, index: Any) -> Any:
        """A frame for an integer, a dataset for a slice, a mask or a list of integers."""
        with self.opened() as dataset:
            return dataset[index]

    def by_id(self, identity: str) -> Frame:
        """The frame with this id; ``ValueError`` if there is none."""
        with self.opened() as dataset:
            return dataset.by_id(identity)

    def __contains__(self, value: object) -> bool:
        """Whether a frame or a frame id is here."""
        with self.opened() as dataset:
            return value in dataset

    # ── selections: datasets in memory; nothing else is read ──────────────────
    def filter(self, keep: Callable[[Frame], bool]) -> Dataset:
        """The frames for which ``keep`` is true."""
        with self.opened() as dataset:
            return dataset.filter(keep)

    def labelled(self) -> Dataset:
        """Frames with energy and forces."""
        with self.opened() as dataset:
            return dataset.labelled()

    def unlabelled(self) -> Dataset:
        """Frames without energy or forces."""
        with self.opened() as dataset:
            return dataset.unlabelled()

    def subset(self, split: Split) -> Dataset:
        """Frames of one split: ``train``, ``validation`` or ``test``."""
        with self.opened() as dataset:
            return dataset.subset(split)

    def select(self, ids: Iterable[str]) -> Dataset:
        """The frames with these ids, in the order of the ids; ``ValueError`` for a foreign id."""
        with self.opened() as dataset:
            return dataset.select(ids)

    @staticmethod
    def concatenate(nodes: Iterable[PESData]) -> Dataset:
        """All frames of several nodes in order, with duplicates."""
        return Dataset.concatenate(node.dataset for node in nodes)

    def merge(self, *others: PESData) -> Dataset:
        """Merge nodes by frame id; splits and labels are kept, see ``Dataset.merge``.

        Raises:
            DataError: A frame has two splits, or labels at two levels of theory.
        """
        return self.dataset.merge(*(node.dataset for node in others))

    # ── figures ───────────────────────────────────────────────────────────────
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

    @property
    def theories(self) -> list[str]:
        """Levels of theory of the labelled frames, without reading the file."""
        return list(self.base.attributes.get("theories"))

    @property
    def metadata(self) -> dict[str, Any]:
        """A copy of the information about the whole dataset, see ``PESData``."""
        return dict(self.base.attributes.get("metadata", {}))

    @property
    def ids(self) -> list[str]:
        """Frame ids in order."""
        with self.opened() as dataset:
            return dataset.ids

    def column(self, name: str) -> NDArray[Any]:
        """One whole column, such as ``energy``, ``split`` or ``offsets``; nothing else is read."""
        with self.opened() as dataset:
            return dataset.column(name)

    def counts(self, name: str) -> dict[str, int]:
        """Number of frames with each value of a text column such as ``strategy`` or ``theory``."""
        with self.opened() as dataset:
            return dataset.counts(name)

    def e0s(self, theory: str | None = None) -> dict[int, float]:
        """Energy (eV) of the isolated atom of each element, by atomic number; ``Dataset.e0s``.

        Raises:
            DataError: There are atoms at several levels of theory, and ``theory`` is ``None``.
        """
        with self.opened() as dataset:
            return dataset.e0s(theory)

    def accuracy(self, predictions: Predictions | SinglefileData | Path | str) -> Accuracy:
        """Disagreement and error of a committee for each frame, in the order of the frames.

        Args:
            predictions: An object, the node of an evaluation, or a file.

        Raises:
            InputError: There is no prediction for any frame of this node.
            DataError: The file is damaged or foreign.
        """
        if isinstance(predictions, SinglefileData):
            predictions = read_predictions(predictions)
        elif not isinstance(predictions, Predictions):
            predictions = Predictions.read(predictions)
        with self.opened() as dataset:
            return accuracy(dataset, predictions)

    # ── out ───────────────────────────────────────────────────────────────────
    def to_ase(self) -> list[Atoms]:
        """All frames as ASE structures, labels under ``REF_…``."""
        return [io.to_ase(frame) for frame in self]

    def write(self, path: Path | str) -> None:
        """Write a file in the format of its suffix, such as ``.h5``; see ``trainspot.io.write``.

        Raises:
            InputError: The suffix is unknown.
            DataError: The format cannot keep some content without loss (HDF5 can).
        """
        with self.opened() as dataset:
            io.write(dataset, path)

    # ── AiiDA ─────────────────────────────────────────────────────────────────
    def _validate(self) -> None:
        """Refuse to store a node whose file is damaged or does not agree with its attributes."""
        super()._validate()
        if self.base.repository.list_object_names() != [self.FILENAME]:
            raise ValidationError(f"a PESData holds exactly one file, '{self.FILENAME}'")
        try:
            with self._file() as handle, hdf5.opened(handle, self._name) as dataset:
                hdf5.check_values(dataset, self._name)
                summary = _summary(dataset)
        except DataError as error:
            raise ValidationError(str(error)) from error
        if "layout" not in self.base.attributes:  # a clone of a node of an earlier version
            del summary["layout"]
        for name, value in summary.items():
            if self.base.attributes.get(name, None) != value:
                raise ValidationError(f"attribute '{name}' does not agree with the file")


def _summary(dataset: Dataset) -> dict[str, Any]:
    """Attributes that make reading the file unnecessary, and the positions of its columns."""
    return {
        "n_frames": len(dataset),
        "n_labelled": int(dataset.is_labelled.sum()),
        "n_atoms": int(dataset.n_atoms.sum()),
        "species": dataset.species,
        "theories": dataset.theories,
        "layout": layout(dataset.columns),
    }
