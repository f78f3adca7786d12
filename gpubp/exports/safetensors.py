"""safetensors: arrays and texts in one file, written as the format's reference does, and read with every size checked."""

import os
from math import prod

import numpy as np

from ..maths.schema import TEXT, Check, list_of, named_once, verify, whole
from ..maths.validation import listed

DTYPES: dict[str, np.dtype] = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8")}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
LONGEST = 100_000_000   # bytes of the header, in the reference too
SIZES = list_of(whole(0))
TEXTS = Check("a dictionary of texts", lambda value: type(value) is dict and all(map(TEXT.holds, value.values())))
TENSOR = {   # the product of more sizes would take long
    "dtype": TEXT, "data_offsets": list_of(whole(0), 2),
    "shape": Check("a list of at most 64 whole numbers", lambda value: SIZES.holds(value) and len(value) <= 64)}


def contents(arrays, texts):
    """The bytes of a file: arrays of float32 and float64 by name, and texts, a dictionary that becomes its metadata.

    Arrays follow each other in the order of their names, and begin at a multiple of 8 bytes, as in files of the reference.
    Raises ValueError for a longer header than the format permits.
    """
    import json  # only files need it

    header, parts, end = {"__metadata__": texts}, [], 0
    for name, array in sorted(arrays.items()):
        dtype = array.dtype.newbyteorder("<")
        parts.append(array.astype(dtype, copy=False).tobytes())
        start, end = end, end + array.nbytes
        header[name] = {"dtype": NAMES[dtype], "shape": array.shape, "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > LONGEST:
        raise ValueError(f"expected at most {LONGEST} bytes of metadata, which safetensors permits, got {len(text)}: remove what "
                         "is large from net.metadata, or use net.save")
    return b"".join([len(text).to_bytes(8, "little"), text, *parts])


def begins(stream):
    """Whether a file begins as safetensors do: with 8 bytes, the length of the header, and the header's first character."""
    head = stream.read(9)
    stream.seek(0)
    return head[8:] == b"{"


class Tensors:
    """The tensors of a safetensors file by name; tensors[name] is an array, and tensors.text(name) a text of the metadata.

    The header is read if the file is as long as it says, and an array if its bytes are what dtype and shape need. Raises nearly
    any error for a damaged file, to be caught by `archives.damage`.
    """

    def __init__(self, stream):
        import json

        size, self._stream = stream.seek(0, os.SEEK_END), stream
        stream.seek(0)
        length = int.from_bytes(stream.read(8), "little")
        if length > min(size - 8, LONGEST):
            raise ValueError(f"expected a header of at most {min(size - 8, LONGEST)} bytes, got {length}")
        self.members = json.loads(stream.read(length).decode(), object_pairs_hook=named_once)
        self._begin, end = 8 + length, 0
        texts = {"__metadata__": self.members.pop("__metadata__", {})}
        verify(texts, {"__metadata__": TEXTS}, "header")
        self.texts = texts["__metadata__"]
        for name, tensor in self.members.items():
            verify(tensor, TENSOR, listed([name]))
        if both := self.members.keys() & self.texts.keys():
            raise ValueError(f"expected other names of tensors than in the metadata, got {listed(sorted(both))}")
        for name, tensor in sorted(self.members.items(), key=lambda item: item[1]["data_offsets"]):
            start, stop = tensor["data_offsets"]
            if start != end or stop < start:
                raise ValueError(f"expected {listed([name])} to begin at byte {end} of the tensors, got {start} to {stop}")
            end = stop
        if self._begin + end != size:
            raise ValueError(f"expected {end} bytes of tensors, got {size - self._begin}")

    def text(self, name):
        if name not in self.texts:
            raise ValueError(f"it holds {len(self.members)} tensors, {listed(self.members) or 'none'}, without metadata {name}")
        return self.texts[name]

    def layout(self, name):
        """(dtype, shape, whether in Fortran's order), as of an archive."""
        tensor = self.members[name]
        if tensor["dtype"] not in DTYPES:
            raise ValueError(f"expected {listed([name])} to be {' or '.join(DTYPES)}, got {listed([tensor['dtype']])}")
        dtype, shape, (start, stop) = DTYPES[tensor["dtype"]], tuple(tensor["shape"]), tensor["data_offsets"]
        expected, found = prod(shape) * dtype.itemsize, stop - start
        if found != expected:
            raise ValueError(f"expected {listed([name])} of {expected} bytes for {dtype} of shape {shape}, got {found}")
        return dtype, shape, False

    def __getitem__(self, name):
        dtype, shape, _ = self.layout(name)
        self._stream.seek(self._begin + self.members[name]["data_offsets"][0])
        return np.frombuffer(self._stream.read(prod(shape) * dtype.itemsize), dtype).reshape(shape)
