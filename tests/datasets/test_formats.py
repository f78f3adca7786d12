"""Formats: files are read once, decompressed, and recognised by their content; other formats are refused with the remedy."""

import bz2
import gzip
import io
import lzma
import os
import pickle
import tarfile
import threading
import tracemalloc
import zipfile

import numpy as np
import pytest

from gpubp import archives
from gpubp.datasets import load
from tests.datasets.test_loading import IRIS

NPZ = "save its arrays: numpy.savez('data.npz', x=..., y=...)"


def zipped(files):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def saved(write, *args, **kwargs):
    file = io.BytesIO()
    write(file, *args, **kwargs)
    return file.getvalue()


def archive():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("a.csv"))
    return file.getvalue()


X, Y = np.arange(8.0).reshape(4, 2), np.array([0, 1, 0, 1])
TABLE = IRIS.encode()
READ = {"table": TABLE, "gzip": gzip.compress(TABLE), "bzip2": bz2.compress(TABLE), "xz": lzma.compress(TABLE),
        "zip": zipped({"iris.csv": TABLE}), "zip of a Mac": zipped({"iris.csv": TABLE, "__MACOSX/._iris.csv": b"..."}),
        "zip of gzip": zipped({"iris.csv.gz": gzip.compress(TABLE)}), "zip in a folder": zipped({"a/": b"", "a/iris.csv": TABLE})}


@pytest.mark.parametrize("kind", READ)
def test_compressed_tables(tmp_path, kind):
    (tmp_path / "data").write_bytes(READ[kind])
    data = load(tmp_path / "data")
    assert data.raw.tolist() == [[1.0, 2.5], [3.0, 0.5], [2.0, 2.0], [4.0, 1.0]] and data.classes == ("setosa", "virginica")


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz", "zip"])
def test_damaged_archives(tmp_path, kind):
    (tmp_path / "data").write_bytes(READ[kind][:-12])
    with pytest.raises(ValueError, match=r"data is (truncated or )?damaged"):
        load(tmp_path / "data")


# {kind: (content, parts of the sentence)}
REFUSED = {
    "xlsx": (zipped({"[Content_Types].xml": b"", "xl/workbook.xml": b""}), "a spreadsheet", ".csv in your spreadsheet"),
    "ods": (zipped({"mimetype": b"application/vnd.oasis...", "content.xml": b""}), "a spreadsheet", ".csv in your"),
    "xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100), "a spreadsheet", ".csv in your spreadsheet program"),
    "parquet": (b"PAR1\x15\x04\x15\x10" + bytes(50), "a Parquet file", "pandas.read_parquet('data').to_csv('data.csv'"),
    "feather": (b"ARROW1\0\0" + bytes(50), "a Feather file", "pandas.read_feather('data').to_csv"),
    "json": (b'[{"a": 1, "y": 0}]', "JSON", "pandas.read_json('data').to_csv"),
    "json behind a byte order mark": (b'\xef\xbb\xbf[{"a": 1, "y": 0}]', "JSON", "pandas.read_json('data').to_csv"),
    "json in lines": (b'{"a": 1, "y": 0}\n{"a": 2, "y": 1}\n', "JSON in lines", "pandas.read_json('data', lines=True).to_csv"),
    "json of an object": (b'{\n "a": [1, 2]}', "JSON", "pandas.read_json('data').to_csv"),
    "arff": (b"% comment\n" * 1000 + b"@RELATION iris\n@ATTRIBUTE a REAL\n", "an ARFF file", "scipy.io.arff.loadarff"),
    "libsvm": (b"+1 1:0.5 3:2\n-1 2:1\n", "a LIBSVM file", "sklearn.datasets.load_svmlight_file"),
    "zst": (b"\x28\xb5\x2f\xfd" + bytes(20), "compressed by Zstandard", "unzstd"),
    "mat": (b"MATLAB 5.0 MAT-file, Platform: GLNXA64" + bytes(100), "a MATLAB file", "scipy.io.loadmat"),
    "h5": (b"\x89HDF\r\n\x1a\n" + bytes(50), "an HDF5 file", "h5py"),
    "npy": (saved(np.save, X), "a single array (.npy)", "numpy.load"),
    "pkl": (pickle.dumps((X, Y)), "a pickle, which may run any code", "pickle.load"),
    "pkl of Python 2": (pickle.dumps((X, Y), 0), "a pickle, which may run any code", "pickle.load"),
    "mnist.pkl.gz": (gzip.compress(pickle.dumps((X, Y), 2)), "a pickle, which may run any code", "pickle.load"),
    "pt": (zipped({"archive/data.pkl": b"", "archive/version": b"3"}), "a pickle of PyTorch", "torch.load"),
    "rds": (gzip.compress(b"X\n\0\0\0\x03" + bytes(50)), "R's data", "write.csv(x, 'data.csv', row.names = FALSE)"),
    "rda": (bz2.compress(b"RDX3\nX\n" + bytes(50)), "R's data", "write.csv(x, 'data.csv', row.names = FALSE)"),
    "png": (b"\x89PNG\r\n\x1a\n" + bytes(50), "one picture", NPZ),
    "jpg": (b"\xff\xd8\xff\xe0" + bytes(50), "one picture", NPZ),
    "tar": (archive(), "an archive", "unpack it"),
    "tar.gz": (gzip.compress(archive()), "an archive", "unpack it"),
    "zip of tables": (zipped({"train.csv": TABLE, "test.csv": TABLE}), "holds 2 files", "unpack it"),
    "html": (b"\n<!DOCTYPE html><html>...", "a web page or XML", "download the data themselves"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of Git LFS", "git lfs pull")}


@pytest.mark.parametrize("kind", REFUSED)
def test_other_formats(tmp_path, kind):
    content, what, remedy = REFUSED[kind]
    (tmp_path / "data").write_bytes(content)
    with pytest.raises(ValueError) as caught:
        load(tmp_path / "data")
    sentence = str(caught.value)
    assert sentence.startswith(f"{tmp_path / 'data'} ") and what in sentence and remedy in sentence and "\n" not in sentence


@pytest.mark.parametrize("header", ["PAR1,PAR2", "BM,b", "II*,b", "RDX3,b", "BZh,b", "FEA1,b", "[x],[z]", "MM,GIF8", "PK,b",
                                    "no.,1:2"])
def test_headers_that_begin_like_other_formats(tmp_path, header):
    (tmp_path / "data").write_text(f"{header},y\n1.5,2,u\n3,5,v\n")
    assert load(tmp_path / "data").columns == tuple(header.split(","))


@pytest.mark.parametrize("kind", ["table", "gzip", "npz", "long"])
def test_a_pipe_is_read_once(tmp_path, kind):
    long = b"a,y\n" + b"".join(b"%d.5,%d\n" % (i, i % 2) for i in range(50_000))
    content = {**READ, "npz": saved(np.savez, x=X, y=Y), "long": long}[kind]
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(content), daemon=True)
    writer.start()
    data = load(tmp_path / "pipe")
    writer.join(10)
    assert len(data) == (50_000 if kind == "long" else 4) and data.name == "pipe"


def test_options_for_tables_only(tmp_path):
    np.savez(tmp_path / "d.npz", x=X, y=Y)
    options = {"decimal": ",", "missing": ["NA"], "header": "yes", "index": 1, "delimiter": ";", "thousands": ","}
    for option, value in options.items():
        with pytest.raises(ValueError) as caught:
            load(tmp_path / "d.npz", **{option: value})
        assert str(caught.value) == f"expected {option} only for tables of text, got it for d.npz: leave it out"
    assert load(tmp_path / "d.npz", like=load(tmp_path / "d.npz").metadata, targets="optional").y.tolist() == Y.tolist()


def test_what_arrays_are_taken_for(tmp_path):
    np.savez(tmp_path / "d.npz", x=np.full((4, 2), 255, np.uint8), y=np.eye(2)[Y])
    assert load(tmp_path / "d.npz").notes == ("rows with one 1 are labels of classes (--task regression)",
                                              "values from 0 to 255 are scaled to 0..1, as in images")
    np.savez(tmp_path / "e.npz", x=X, y=Y)
    assert load(tmp_path / "e.npz").notes == ("whole numbers as targets are labels of classes (--task regression)",)
    assert load(tmp_path / "e.npz", task="classification").notes == load(tmp_path / "e.npz", targets=False).notes == ()


@pytest.mark.long
@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, lambda content: deflated({"t.csv": content})])
def test_files_that_expand_beyond_measure(tmp_path, pack, monkeypatch):
    """Within others, too: the limit is one of the file, not of each."""
    monkeypatch.setattr(archives, "FREE", 1 << 20)
    for content in (pack(bytes(20_000_000)), gzip.compress(gzip.compress(pack(bytes(20_000_000))))):
        (tmp_path / "data").write_bytes(content)
        tracemalloc.start()
        try:
            with pytest.raises(ValueError, match=r"data: expected at most \d+ MiB once decompressed, .*: decompress"):
                load(tmp_path / "data")
            assert tracemalloc.get_traced_memory()[1] < 12e6   # of which xz takes 8 MB
        finally:
            tracemalloc.stop()
    (tmp_path / "data").write_bytes(pack(b"a,b\n" + b"1,2\n2,3\n" * 50_000))
    assert len(load(tmp_path / "data").raw) == 100_000, "below the limit"


def test_tables_may_expand_less_than_arrays(tmp_path):
    (tmp_path / "data").write_bytes(gzip.compress(b"a,b\n" + b"1,2\n2,3\n" * 700_000))
    with pytest.raises(ValueError, match="expected at most 4 MiB once decompressed"):
        load(tmp_path / "data")


def deflated(files):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def test_files_within_files(tmp_path):
    content = TABLE
    for _ in range(4):
        content = gzip.compress(content)
    (tmp_path / "data").write_bytes(content)
    assert len(load(tmp_path / "data").raw) == 4
    (tmp_path / "data").write_bytes(gzip.compress(content))
    with pytest.raises(ValueError, match="data is compressed more than 4 times: unpack it"):
        load(tmp_path / "data")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_archives_compressed_in_other_ways(tmp_path, method):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("t.csv", TABLE)
    (tmp_path / "data").write_bytes(file.getvalue())
    with pytest.raises(ValueError, match=r"data is damaged .*t\.csv is encrypted, or compressed in another way than by deflate"):
        load(tmp_path / "data")


@pytest.mark.parametrize("kind", ["gzip", "bzip2", "xz", "zip"])
def test_every_byte_may_be_damaged(tmp_path, kind):
    """Either the table is the same, or one sentence names the file."""
    seen, content = 0, READ[kind]
    for place in range(0, len(content), 3):
        (tmp_path / "data").write_bytes(content[:place] + bytes([content[place] ^ 0x5A]) + content[place + 1:])
        try:
            assert load(tmp_path / "data").raw.tolist() == [[1.0, 2.5], [3.0, 0.5], [2.0, 2.0], [4.0, 1.0]]
        except ValueError as error:
            seen += 1
            assert "data" in str(error) and str(error).isprintable() and len(str(error)) < 500
    assert seen > len(content) // 12
