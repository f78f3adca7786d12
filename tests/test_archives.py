"""Archives: names and sizes are judged before anything is allocated, and each damage is one sentence."""

import bz2
import gzip
import io
import lzma
import os
import tracemalloc
import zipfile

import numpy as np
import pytest

from gpubp import archives
from gpubp.archives import Archive, Refused, allowed, damage, expanded, opened


def npy(array, **options):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, **options)
    return file.getvalue()


def zipped(members, method=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


def archive(*members, **options):
    return Archive(io.BytesIO(zipped(members, **options)))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("array", [
    np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.arange(3, dtype=">f4"), np.array("text"),
    np.zeros((0, 3)), np.array(True), np.ones((1, 2, 3), np.int8)], ids=lambda array: f"{array.dtype}{array.shape}")
def test_arrays_come_back(array, method):
    found = archive(("x.npy", npy(array)), ("more.txt", b"..."), method=method)
    assert [*found.members] == ["x", "more.txt"]
    np.testing.assert_array_equal(found["x"], array)
    assert found["x"].dtype == array.dtype


def header(shape, descr="<f8", version=(1, 0)):
    text = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY" + bytes(version) + len(text).to_bytes(2 if version == (1, 0) else 4, "little") + text


@pytest.mark.parametrize("content", [
    b"", b"no array", b"\x93NUMPY", header((400_000_000,)), header((2**62, 4)), header((-1, -1)) + bytes(8),
    header((3,)) + bytes(23), header((3,)) + bytes(25), header((1,) * 99) + bytes(8), header((2,), "(" * 300),
    header((2,), "<f99"), header((2,), version=(9, 0)), header("x"), header((10**30,)), header((True,)) + bytes(8),
    header((1,), "V0"),
    header((3,), [("a", "<f8")] * 2), b"\x93NUMPY\x02\0\xff\xff\xff\xff{}",
    b"\x93NUMPY\x01\0" + (9000).to_bytes(2, "little") + b"-" * 9000], ids=range(19))
def test_arrays_that_are_none(content):
    tracemalloc.start()
    try:
        with (pytest.raises(ValueError, match=r"^FILE is damaged \(.+\): use a copy$"),
              damage("FILE", "is damaged", "use a copy")):
            archive(("x.npy", content))["x"]
        assert tracemalloc.get_traced_memory()[1] < 4e6
    finally:
        tracemalloc.stop()


def test_pickled_objects_are_not_read():
    found = archive(("x.npy", npy(np.array([{}], object), allow_pickle=True)))
    assert found.layout("x")[0].hasobject
    with pytest.raises(ValueError, match="OBJECT"):
        found["x"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("names", [("x.npy", "x.npy"), ("x.npy", "x")])
def test_one_name_twice(names):
    with pytest.raises(ValueError, match="it holds x twice"):
        archive(*((name, npy(np.ones(2))) for name in names))


def test_checksums():
    content = bytearray(zipped([("x.npy", npy(np.arange(9.0)))]))
    content[content.index(np.float64(7.0).tobytes())] ^= 1
    with pytest.raises(ValueError, match="Bad CRC"), damage("FILE", "is damaged", "use a copy"):
        Archive(io.BytesIO(content))["x"]


def test_a_directory_that_lies_about_sizes():
    """The member has 8 MB of zeros; its directory says 100 bytes, or twice as much as there is."""
    content = zipped([("x.npy", header((1_000_000,)) + bytes(8_000_000))], zipfile.ZIP_DEFLATED)
    length = len(header((1_000_000,))) + 8_000_000
    for lie in (100, 2 * length):
        found = Archive(io.BytesIO(content.replace(length.to_bytes(4, "little"), lie.to_bytes(4, "little"))))
        with pytest.raises((ValueError, EOFError, zipfile.BadZipFile)):
            found["x"]


@pytest.mark.parametrize("order", "<>")
def test_texts_hold_only_characters(order):
    texts = np.array([["a\0b", "\ud7ff\ue000"], ["\U0010ffff", ""]], f"{order}U3")
    np.testing.assert_array_equal(archive(("y.npy", npy(texts)))["y"], texts)
    for code in 0xd800, 0xdfff, 0x110000, 0xffffffff:
        codes = np.array([97, code], f"{order}u4")
        with pytest.raises(ValueError, match=r"^y holds codes that are no characters$"):
            archive(("y.npy", header((2,), f"{order}U1") + codes.tobytes()))["y"]


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compression_is_refused_unread(method):
    found = archive(("x.npy", npy(np.zeros(99))), method=method)
    with pytest.raises(ValueError, match=r"^x\.npy is encrypted, or compressed in another way than by deflate$"):
        found["x"]


def test_arrays_that_expand_beyond_measure(monkeypatch):
    monkeypatch.setattr(archives, "FREE", 1 << 20)
    content = zipped([("x.npy", header((20_000_000,), "|u1") + bytes(20_000_000))], zipfile.ZIP_DEFLATED)
    tracemalloc.start()
    try:
        with pytest.raises(Refused, match=r"expected at most \d+ MiB once decompressed, .* decompress it yourself"):
            Archive(io.BytesIO(content))["x"]
        assert tracemalloc.get_traced_memory()[1] < 2e6, "refused unread"
    finally:
        tracemalloc.stop()


@pytest.mark.long
@pytest.mark.parametrize("module", [gzip, bz2, lzma])
def test_streams_that_expand_beyond_measure(module):
    content = module.compress(bytes(3_000_000))
    assert expanded(module.open(io.BytesIO(content)), 3_000_000) == bytes(3_000_000)
    with pytest.raises(Refused):
        expanded(module.open(io.BytesIO(content)), 2_999_999)
    content = module.compress(bytes(30_000_000))
    tracemalloc.start()
    try:
        assert len(expanded(module.open(io.BytesIO(content)), 30_000_000)) == 30_000_000
        assert tracemalloc.get_traced_memory()[1] < 45e6, "held once"
    finally:
        tracemalloc.stop()
    assert allowed(1000) == (1 << 26) + 100_000


def test_errors_are_one_line_that_cannot_steer_a_terminal():
    for text in ("two\nlines", "\x1b[2J", "x" * 5000, ""):
        with pytest.raises(ValueError) as caught, damage("FILE", "is damaged", "use a copy"):
            raise LookupError(text)
        assert str(caught.value).isprintable() and len(str(caught.value)) < 400
    with pytest.raises(MemoryError), damage("FILE", "is damaged", "use a copy"):
        raise MemoryError


def test_only_regular_files_are_opened(tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no pipes among its files")
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(OSError, match="expected a regular file, got a device or a pipe"):
            opened(path)
    with pytest.raises(FileNotFoundError):
        opened(tmp_path / "none")
