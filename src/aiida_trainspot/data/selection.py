"""``PESSelection``: some frames of another node, without a copy of them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from aiida.common.exceptions import ValidationError
from aiida.orm import Data, load_node

from aiida_trainspot.data.pes import PESData
from trainspot.explore.pool import drawn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainspot.data.dataset import Dataset


class PESSelection(PESData):
    """The frames that an iteration draws from a pool: row numbers, and the pool's identifier.

    It is used like any ``PESData``. Its frames have no labels. The calculation that drew the frames
    has the pool as an input, so an AiiDA archive with this node has the pool too. The hash depends
    on the content of the pool and on the rows, not on which node has the content.

    Args:
        pool: The stored node with all frames; omitted when AiiDA loads a stored node.
        rows: Rows of the pool.
        iteration: The iteration that drew the frames.
    """

    FILENAME: ClassVar[str] = "rows.npy"
    _hash_ignored_attributes: ClassVar[tuple[str, ...]] = ("pool",)

    def __init__(
        self,
        pool: PESData | None = None,
        rows: NDArray[np.intp] | None = None,
        iteration: int = 0,
        **kwargs: Any,
    ) -> None:
        """Write the rows, and figures of their frames, into the (unstored) node."""
        Data.__init__(self, **kwargs)
        if pool is None or rows is None:
            raise ValueError("a selection needs a stored pool and rows")
        handle = io.BytesIO()
        np.save(handle, np.asarray(rows, dtype=np.int64))
        handle.seek(0)
        self.base.repository.put_object_from_filelike(handle, self.FILENAME)
        self.base.attributes.set_many(
            {"pool": pool.uuid, "content": pool.base.caching.get_hash(), "iteration": iteration}
        )
        self.base.attributes.set_many(self._figures())

    @property
    def pool(self) -> PESData:
        """The node with all frames."""
        node: PESData = load_node(self.base.attributes.get("pool"))
        return node

    @property
    def rows(self) -> NDArray[np.int64]:
        """Rows of the pool, in order."""
        content = self.base.repository.get_object_content(self.FILENAME, "rb")
        return np.asarray(np.load(io.BytesIO(content)), dtype=np.int64)

    @property
    def dataset(self) -> Dataset:
        """The drawn frames in memory, without labels."""
        with self.opened() as frames:
            return frames

    @contextmanager
    def opened(self) -> Iterator[Dataset]:
        """The drawn frames for many calls; in memory, and valid beyond the block."""
        with self.pool.opened() as frames:
            yield drawn(frames, self.rows, int(self.base.attributes.get("iteration")))

    def _figures(self) -> dict[str, Any]:
        with self.opened() as frames:
            return {
                "n_frames": len(frames),
                "n_labelled": 0,
                "n_atoms": int(frames.n_atoms.sum()),
                "species": frames.species,
                "theories": [],
            }

    def _validate(self) -> None:
        """Refuse to store a node without rows; the frames were checked with the pool."""
        Data._validate(self)  # noqa: SLF001  (PESData would ask for its own file)
        if self.base.repository.list_object_names() != [self.FILENAME]:
            raise ValidationError(f"a PESSelection holds exactly one file, '{self.FILENAME}'")
