"""Archives that are whole, and what is left of those that are not."""

from __future__ import annotations

import io
import zipfile

import pytest

from trainspot.common.archives import is_whole
from trainspot.common.errors import DataError
from trainspot.models.mace import MacePotential
from trainspot.models.potential import kind_of


def archive(**files):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as out:
        for name, content in files.items():
            out.writestr(name, content)
    return stream.getvalue()


INNER = archive(code="x" * 50)
MODEL = archive(first="text", inner=INNER, weights=b"\x01" * 500)


def test_an_archive_that_holds_archives_is_whole(tmp_path):
    path = tmp_path / "model"
    path.write_bytes(MODEL)
    assert is_whole(path)
    path.write_bytes(archive())
    assert is_whole(path)


def test_what_is_left_behind_an_inner_archive_is_not(tmp_path):
    path = tmp_path / "model"
    end = MODEL.index(INNER) + len(INNER)
    path.write_bytes(MODEL[:end])
    assert zipfile.is_zipfile(path)
    assert not is_whole(path)
    path.write_bytes(MODEL[: end + 100])
    assert not is_whole(path)


@pytest.mark.parametrize("content", [b"", b"text\n", MODEL[:-30], MODEL[20:]])
def test_other_files_are_not(tmp_path, content):
    path = tmp_path / "model"
    path.write_bytes(content)
    assert not is_whole(path)
    assert not is_whole(tmp_path)
    assert not is_whole(tmp_path / "absent")


def test_a_model_of_mace_with_damaged_contents_is_refused(tmp_path):
    path = tmp_path / "damaged.model"
    content = bytearray(archive(**{"m/data.pkl": b"cmace.modules.models\nMACE\n." + b"x" * 99}))
    path.write_bytes(content)
    assert kind_of(path) == "mace"
    content[content.index(b"xxx") + 9] = 0
    path.write_bytes(content)
    assert not MacePotential.recognises(path)
    with pytest.raises(DataError, match="not a MACE model, or damaged"):
        MacePotential.load(path)
