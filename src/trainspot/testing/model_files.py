"""Files that only look like models of a kind, and damaged models."""

from __future__ import annotations

import io
import json
import pickle
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from trainspot.common import plugins
from trainspot.common.errors import DataError, InputError
from trainspot.models import potential
from trainspot.models.exported import CALIBRATION
from trainspot.models.potential import Potential
from trainspot.testing.claims import Claims
from trainspot.testing.samples import tiny_model

_MEMBERS = 6  # number of members of an archive to damage, one by one


def check_model_file(kind: str | type[Potential], path: Path, folder: Path) -> None:
    """Assert that a kind of models handles its own and other files correctly.

    - ``recognises`` is true of the model, and of no other installed kind;
    - it is false, and raises nothing, of a text, an empty file, a folder, an archive, and models
      of other kinds, whatever their names end with;
    - ``load`` raises ``DataError``, and nothing else, for a model that is cut off or overwritten;
      of a model that is a folder, each file is cut off, and an ``InputError`` is enough, because
      the members are models of other kinds.

    Args:
        kind: Its registered name, or its class.
        path: A whole model file of this kind, or a folder that is a model.
        folder: An empty folder.
    """
    model = potential.potential_kind(kind) if isinstance(kind, str) else kind
    claims = Claims("model kind", model.kind, model)
    _check_recognises(claims, model, path, folder)
    if path.is_dir():
        _check_damaged_folder(claims, model, path, folder)
        return
    for what, content, may_accept in _damages(path.read_bytes()):
        damaged = folder / f"damaged{path.suffix}"
        damaged.write_bytes(content)
        with claims.refuses(DataError, f"loading a model {what}", may_accept=may_accept):
            model.load(damaged)


def _check_recognises(claims: Claims, model: type[Potential], path: Path, folder: Path) -> None:
    with claims.works("recognises() of a model of its own"):
        answer = model.recognises(path)
    claims(answer, f"recognises() does not know a model of its own, {path.name}")
    for name in plugins.names(potential.GROUP):
        try:
            other = potential.potential_kind(name)
        except InputError:
            continue  # its extra is not installed
        if name != model.kind:
            claims(not other.recognises(path), f"the kind '{name}' recognises {path.name} as well")
    for what, stranger in _strangers(folder, path.suffix):
        if what == f"a model of the kind '{model.kind}'":
            continue
        with claims.works(f"recognises() of {what}"):
            answer = model.recognises(stranger)
        claims(
            not answer,
            f"recognises() takes {what}, named {stranger.name}, for a model of its own: look into "
            "the file",
        )


def _check_damaged_folder(claims: Claims, model: type[Potential], path: Path, folder: Path) -> None:
    files = sorted(file.relative_to(path) for file in path.rglob("*") if file.is_file())
    for number, name in enumerate(files):
        damaged = folder / f"damaged_{number}"
        shutil.copytree(path, damaged)
        content = (path / name).read_bytes()
        (damaged / name).write_bytes(content[: len(content) // 2])
        with claims.refuses(InputError, f"loading a model of which half of {name} is missing"):
            model.load(damaged)


def _strangers(folder: Path, suffix: str) -> Iterator[tuple[str, Path]]:
    """Files and folders with the ending of a model, each with a description."""
    contents = {
        "a text": b"# a text\n1 2 3\n",
        "an empty file": b"",
        "a file of random bytes": np.random.default_rng(0).bytes(4096),
        "a JSON file": json.dumps({"format": "another"}).encode(),
        "a pickled mapping": pickle.dumps({"weights": [1.0, 2.0]}),
        "an archive of a text": _archive({"a/readme.txt": b"text"}),
        "an archive as torch writes it": _archive({"model/data.pkl": pickle.dumps({"a": 1})}),
        "an archive of numpy arrays": _archive({"weights.npy": b"\x93NUMPY"}),
        "a model of the kind 'mace'": _archive({"m/data.pkl": b"cmace.modules.models\nMACE\n."}),
    }
    for number, (what, content) in enumerate(contents.items()):
        path = folder / f"stranger_{number}{suffix}"
        path.write_bytes(content)
        yield what, path
    toy = folder / f"stranger_toy{suffix}"
    tiny_model().save(toy)
    yield "a model of the kind 'toy'", toy
    for what, files in {
        "a folder": {"notes.txt": "text"},
        "a model of the kind 'committee'": {CALIBRATION: "{}"},
    }.items():
        directory = folder / f"stranger_{what.rpartition(' ')[2].strip(chr(39))}{suffix}"
        directory.mkdir()
        for name, text in files.items():
            (directory / name).write_text(text)
        yield what, directory


def _archive(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def _damages(content: bytes) -> Iterator[tuple[str, bytes, bool]]:
    """Descriptions of damages, damaged contents, and whether ``load`` may accept them."""
    size = len(content)
    yield "of which half is missing", content[: size // 2], False
    yield "of which the end is missing", content[: size - max(1, size // 20)], False
    yield "that is empty", b"", False
    yield "that is a text", b"no model\n", False
    middle = size // 2
    yield "with zeros in its middle", content[:middle] + bytes(64) + content[middle + 64 :], True
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    for name in sorted(files, key=lambda file: (-len(files[file]), file))[:_MEMBERS]:
        yield f"of which '{name}' is empty", _archive({**files, name: b""}), True
