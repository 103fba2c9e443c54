"""Statistics of a stream in constant memory: ``Histogram`` and ``Tally``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_MOST_BINS: Final = 2048
_EXACT: Final = 2.0**52  # beyond it doubles skip whole numbers


class Histogram:
    """Counts in bins of equal width, for a range that is unknown at the start.

    Bin k has values in [k w, (k + 1) w). When the values span more than 2048 bins, the width w
    doubles and neighbouring bins are joined. The result depends on the values only, not on their
    order or on the chunks.

    Args:
        width: First width of a bin, in the unit of the values.

    Attributes:
        width: Current width.
        count: Number of values.
        total: Sum of the values.
        least: Smallest value; infinite without values.
        largest: Largest value; minus infinity without values.
    """

    def __init__(self, width: float) -> None:
        """Start empty."""
        self.width = float(width)
        self.count = 0
        self.total = 0.0
        self.least, self.largest = float("inf"), float("-inf")
        self._first = 0
        self._counts: NDArray[np.int64] = np.zeros(0, dtype=np.int64)

    def add(self, values: ArrayLike) -> None:
        """Count finite values of any shape."""
        new = np.asarray(values, dtype=np.float64).ravel()
        if not len(new):
            return
        self.count += len(new)
        self.total += float(new.sum())
        self.least = min(self.least, float(new.min()))
        self.largest = max(self.largest, float(new.max()))
        while self._span() > _MOST_BINS or max(-self.least, self.largest) / self.width > _EXACT:
            self._double()
        first, stop = self._place(self.least), self._place(self.largest) + 1
        counts = np.zeros(stop - first, dtype=np.int64)
        start = self._first - first
        counts[start : start + len(self._counts)] = self._counts
        places = np.floor(new / self.width).astype(np.int64) - first
        self._first, self._counts = first, counts + np.bincount(places, minlength=len(counts))

    @property
    def mean(self) -> float:
        """The mean of the values; not a number without any."""
        return self.total / self.count if self.count else float("nan")

    @property
    def counts(self) -> NDArray[np.int64]:
        """Values in each bin, (k,)."""
        return self._counts

    @property
    def edges(self) -> NDArray[np.float64]:
        """Edges of the bins, (k + 1,); one edge without values."""
        edges: NDArray[np.float64] = self.width * (self._first + np.arange(len(self._counts) + 1.0))
        return edges

    def quantile(self, share: float) -> float:
        """The quantile of this share, to within a bin; not a number without values."""
        if not self.count:
            return float("nan")
        reached = np.cumsum(self._counts)
        place = int(np.searchsorted(reached, share * self.count))
        place = min(place, len(reached) - 1)
        before = int(reached[place - 1]) if place else 0
        inside = (share * self.count - before) / max(1, int(self._counts[place]))
        value = float(self.edges[place] + self.width * min(1.0, max(0.0, inside)))
        return min(self.largest, max(self.least, value))

    def joined(self, most: int) -> Histogram:
        """The counts in at most so many bins, two or more; zero is always an edge."""
        coarse = Histogram(self.width)
        coarse.count, coarse.total = self.count, self.total
        coarse.least, coarse.largest = self.least, self.largest
        coarse._first, coarse._counts = self._first, self._counts.copy()
        while len(coarse._counts) > most:
            coarse._double()
        return coarse

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON; without values only their ``count``, 0."""
        if not self.count:
            return {"count": 0}
        shown = self.joined(100)
        return {
            "count": self.count,
            "least": self.least,
            "median": self.quantile(0.5),
            "mean": self.mean,
            "largest": self.largest,
            "edges": shown.edges.tolist(),
            "counts": shown.counts.tolist(),
        }

    def _place(self, value: float) -> int:
        return int(np.floor(value / self.width))

    def _span(self) -> int:
        return self._place(self.largest) - self._place(self.least) + 1

    def _double(self) -> None:
        """Join bins 2k and 2k + 1 to bin k of twice the width."""
        self.width *= 2
        first = self._first // 2
        lead = self._first - 2 * first
        padded = np.zeros(lead + len(self._counts) + 1, dtype=np.int64)
        padded[lead : lead + len(self._counts)] = self._counts
        pairs = padded[: len(padded) // 2 * 2].reshape(-1, 2).sum(axis=1)
        self._first = first
        self._counts = pairs[: (lead + len(self._counts) + 1) // 2]


class Tally:
    """How often each text occurs, for at most ``most`` different ones.

    Attributes:
        others: Number of further texts that are not counted one by one.
    """

    def __init__(self, most: int) -> None:
        """Start empty."""
        self._most = most
        self._counts: Counter[str] = Counter()
        self.others = 0

    def add(self, words: Iterable[str]) -> None:
        """Count texts."""
        for word in words:
            if word in self._counts or len(self._counts) < self._most:
                self._counts[word] += 1
            else:
                self.others += 1

    def __len__(self) -> int:
        """Number of different texts that were counted one by one."""
        return len(self._counts)

    def counts(self) -> dict[str, int]:
        """The counts, most frequent first, then by name."""
        return dict(sorted(self._counts.items(), key=lambda item: (-item[1], item[0])))
