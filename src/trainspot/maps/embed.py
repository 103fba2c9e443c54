"""From descriptors to a plane: principal components, t-SNE or UMAP.

Columns are centred and not scaled: those of one descriptor share a unit, and scaling would blow up
columns in which nothing happens. t-SNE and UMAP see the leading principal components, at most 50,
which keeps distances and drops noise (L. van der Maaten and G. Hinton, J. Mach. Learn. Res. 9,
2579, 2008). Both are random; the same seed gives the same map on one machine.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import numpy as np

from trainspot.common.errors import MissingExtraError
from trainspot.common.seeds import derive_seed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Method = Literal["tsne", "umap", "pca"]
METHODS: Final[tuple[Method, ...]] = get_args(Method)
TITLES: Final = {"tsne": "t-SNE", "umap": "UMAP", "pca": "principal components"}
_BROUGHT_BY: Final = {"sklearn": "map", "umap": "umap"}
"""The extra that brings the library of a method."""

COMPONENTS: Final = 50
PERPLEXITY: Final = 30.0
"""Approximate number of neighbours of a point in t-SNE; smaller for few frames."""
NEIGHBOURS: Final = 15
"""Number of neighbours of a point in UMAP; smaller for few frames."""
FEWEST: Final = 6
"""Smallest number of frames for t-SNE and UMAP; fewer frames have no meaningful neighbourhoods."""

_SAME: Final = 1e-9  # relative to the largest component; smaller ones are rounding


def need(method: Method) -> None:
    """Import the library of a method.

    Raises:
        MissingExtraError: The library is not installed.
    """
    try:
        if method == "tsne":
            import sklearn.manifold  # noqa: F401
        elif method == "umap":
            _umap()
    except ModuleNotFoundError as error:
        extra = _BROUGHT_BY.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        raise MissingExtraError(f"the library for {TITLES[method]}", extra) from error


def embed(vectors: Floats, method: Method = "tsne", seed: int = 0) -> tuple[Floats, Method]:
    """Points in the plane such that similar frames are near each other.

    Args:
        vectors: Descriptors, (N, D).
        method: ``pca`` preserves distances as far as two directions can, ``tsne`` and ``umap``
            neighbourhoods.
        seed: Determines all random numbers.

    Returns:
        Points, (N, 2), centred; and the method that was used, which is ``pca`` below 6 frames or
        where all are the same. One frame is at the origin.

    Raises:
        MissingExtraError: The library of the method is not installed.
    """
    components = principal(vectors)
    if len(vectors) < FEWEST or not components.any():
        return _plane(components), "pca"
    if method == "pca":
        return _plane(components), method
    need(method)
    number = derive_seed(seed, "map", method) % 2**32
    points = _tsne(components, number) if method == "tsne" else _umap_points(components, number)
    return points - points.mean(axis=0), method


def principal(vectors: Floats, count: int = COMPONENTS) -> Floats:
    """Leading principal components, (N, at most ``count``), largest variance first.

    The largest entry of each component is positive, so that all machines give the same sign.
    """
    centred = vectors - vectors.mean(axis=0) if len(vectors) else vectors
    if not centred.size:
        return np.zeros((len(vectors), 0))
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    kept = values[:count] > _SAME * max(float(np.abs(vectors).max()), 1e-300)
    components = left[:, :count][:, kept] * values[:count][kept]
    largest = components[np.abs(components).argmax(axis=0), np.arange(components.shape[1])]
    return np.asarray(components * np.sign(largest))


def perplexity(count: int) -> float:
    """The perplexity for a number of points: at most a third of this number."""
    return min(PERPLEXITY, (count - 1) / 3)


def _plane(components: Floats) -> Floats:
    points = np.zeros((len(components), 2))
    points[:, : components.shape[1]] = components[:, :2]
    return points


def _tsne(components: Floats, number: int) -> Floats:
    from sklearn.manifold import TSNE

    start = _plane(components)
    start *= 1e-4 / start[:, 0].std()
    points = TSNE(
        perplexity=perplexity(len(components)),
        init=start,
        learning_rate="auto",
        random_state=number,
        n_jobs=1,
    ).fit_transform(components)
    return np.asarray(points, dtype=np.float64)


def _umap_points(components: Floats, number: int) -> Floats:
    start = _plane(components)
    start *= 10.0 / np.abs(start).max()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings of UMAP about numba and about few points
        points = _umap()(
            n_neighbors=min(NEIGHBOURS, len(components) - 1),
            init=start,
            random_state=number,
            n_jobs=1,
        ).fit_transform(components)
    return np.asarray(points, dtype=np.float64)


def _umap() -> Any:
    """The class, imported without the warnings of UMAP that users cannot act on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from umap import UMAP
    return UMAP
