"""Files that may be hostile: the sizes that they state are checked before memory is allocated for them."""

import os
from contextlib import contextmanager
from errno import EINVAL
from io import BytesIO
from math import prod
from typing import Any

import numpy as np

from .maths.registry import PARSING
from .maths.validation import listed, visible

HEADER = 12 + 10_000   # bytes that describe an array at most; NumPy writes about a hundred
PIECE = 1 << 16        # bytes read at a time
FREE, TIMES = 1 << 26, 100
READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
STORED, DEFLATED, ENCRYPTED = 0, 8, 1   # of zipfile
LAST_CHARACTER, SURROGATES = 0x10ffff, 0xd800 >> 11   # of Unicode; surrogates, up to 0xdfff, cannot be written to files


def allowed(size):
    """The number of bytes to which a compressed file of `size` bytes may expand."""
    return FREE + TIMES * size


def expanded(stream, limit):
    """All that a decompressing stream holds; raises Refused where that is more than limit bytes."""
    content = bytearray()
    while piece := stream.read(PIECE):
        content += piece
        require_allowed(len(content), limit)
    return content


def require_allowed(size, limit):
    if size > limit:
        raise Refused(f"expected at most {limit >> 20} MiB once decompressed, for its size, got more: decompress it yourself if "
                      "you trust it")


def opened(path):
    """A regular file, open for reading; a pipe would wait for its writer, and a device may have no end."""
    if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
        raise OSError(EINVAL, "expected a regular file, got a device or a pipe", path)
    return open(path, "rb")


@contextmanager
def damage(path, what, remedy):
    """Turn the errors of reading a file into one sentence with its name."""
    try:
        yield
    except MemoryError:
        raise
    except Refused as error:
        raise ValueError(f"{path}: {error}") from None
    except Exception as error:   # damage shows as nearly any error of zipfile, zlib, lzma, NumPy or JSON
        found = " ".join(visible(str(error) or type(error).__name__).split())
        raise ValueError(f"{path} {what} ({found[:300]}): {remedy}") from None


class Refused(ValueError):
    """Raised for a file that is not damaged, but not accepted; `damage` adds its name."""


class Archive:
    """The members of a .npz file by name, without .npy, in order; archive[name] is an array.

    Raises nearly any error for a damaged file, to be caught by `damage`; members with one name or a foreign path are refused.
    """

    def __init__(self, stream):
        from zipfile import ZipFile, is_zipfile  # only files need it

        self.size = stream.seek(0, os.SEEK_END)
        if not is_zipfile(stream):
            raise ValueError("it is no whole archive of arrays" if self.size else "it is empty")
        self._zip = ZipFile(stream)
        self.members: dict[str, Any] = {}
        self._layouts: dict[str, tuple] = {}
        for info in self._zip.infolist():
            name = info.filename.removesuffix(".npy")
            if name in self.members:
                raise ValueError(f"it holds {listed([name])} twice")
            self.members[name] = info

    def layout(self, name):
        """(dtype, shape, whether in Fortran's order) of an array, which must have the bytes for them.

        Pickled objects have no fixed number of bytes; they are never read.
        """
        if name in self._layouts:
            return self._layouts[name]
        info = self.members[name]
        with self._open(info, allowed(self.size)) as member:
            head = BytesIO(member.read(min(HEADER, info.file_size)))
        if head.getvalue()[:6] != np.lib.format.MAGIC_PREFIX or not info.filename.endswith(".npy"):
            raise ValueError(f"{listed([name])} is no array")
        version = np.lib.format.read_magic(head)
        if version not in READERS:
            raise ValueError(f"{listed([name])} has the unknown version {version}")
        try:
            with PARSING:
                shape, fortran, dtype = READERS[version](head)
        except MemoryError:   # of Python's parser, for a few thousand signs in a row
            raise ValueError(f"the description of {listed([name])} is nested too deeply") from None
        expected, found = prod(shape) * dtype.itemsize, info.file_size - head.tell()
        if min(shape, default=0) < 0 or (found != expected and not dtype.hasobject):
            raise ValueError(f"expected {listed([name])} of {expected} bytes for {dtype} of shape {shape}, got {found}")
        self._layouts[name] = dtype, shape, fortran
        return self._layouts[name]

    def text(self, name):
        """A text, read only if all members are plain and together no larger than the file."""
        if name not in self.members:
            raise ValueError(f"it holds {listed(self.members)}")
        packed = [name for name, info in self.members.items() if info.compress_type != STORED or info.flag_bits & ENCRYPTED]
        if packed or sum(info.file_size for info in self.members.values()) > self.size:
            raise ValueError(f"expected plain arrays, got {listed(packed)} compressed or encrypted" if packed else
                             "its arrays are larger than the file")
        dtype, shape, _ = self.layout(name)
        if dtype.kind != "U" or shape:
            raise ValueError(f"expected {name} to be a text, got {dtype} of shape {shape}")
        return str(self[name])

    def _open(self, info, limit):
        if info.compress_type not in (STORED, DEFLATED) or info.flag_bits & ENCRYPTED:   # others expand without any bound
            raise ValueError(f"{listed([info.filename])} is encrypted, or compressed in another way than by deflate")
        require_allowed(info.file_size, limit)
        return self._zip.open(info)

    def __getitem__(self, name):
        dtype, shape, fortran = self.layout(name)
        content = self.content(self.members[name], allowed(self.size))
        values = np.frombuffer(memoryview(content)[len(content) - prod(shape) * dtype.itemsize:], dtype)
        if dtype.kind == "U":
            codes = values.view(dtype.byteorder + "u4")
            if ((codes > LAST_CHARACTER) | (codes >> 11 == SURROGATES)).any():
                raise ValueError(f"{listed([name])} holds codes that are no characters")
        return values.reshape(shape, order="F" if fortran else "C")

    def content(self, info, limit):
        """The bytes of a member, as many as the directory states, but at most limit."""
        with self._open(info, limit) as member:
            content = member.read() if info.compress_type == STORED else expanded(member, limit)
        if len(content) != info.file_size:
            raise ValueError(f"expected {info.file_size} bytes of {listed([info.filename])}, got {len(content)}")
        return content
