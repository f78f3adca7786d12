"""safetensors: bit by bit what the reference's package writes and reads, and damage is refused in one sentence."""

import io
import json
import tracemalloc

import numpy as np
import pytest

from gpubp import Dense, Dropout, Network, load
from gpubp.exports import safetensors
from gpubp.exports.safetensors import Tensors, contents
from gpubp.layered.packing import pack
from tests.cases import as_before, two_classes
from tests.conftest import needs
from tests.layered.test_packing import CUBE, FOURTH


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.safetensors"


@pytest.fixture
def net(random):
    net = Network([4, Dropout(0.1), Dense(5, "leaky_relu(0.2)"), 2], cost="cross-entropy(0.1)", device="cpu", seed=2**64 - 1,
                  standardize=True)
    net.fit(*two_classes(random), optimizer="adam(0.01)", epochs=2)
    net.metadata["classes"] = ["no", "ÿ\ud800"]
    return net


def taken_apart(content):
    """(header, bytes of the tensors)"""
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8:8 + length]), content[8 + length:]


def together(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def refused(path, content):
    """The error message for a file with this content, which must not allocate much."""
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError) as caught:
            load(path, device="cpu:numpy")
        assert tracemalloc.get_traced_memory()[1] < 2e6 + 30 * len(content)
    finally:
        tracemalloc.stop()
    message = str(caught.value)
    assert message.startswith(f"{path} is not a gpubp network, or is damaged (") and message.isprintable() and len(message) < 500
    return message


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_everything_but_the_optimizer_comes_back(ops, dtype, path, random):
    x, y = two_classes(random)
    net = Network([4, Dropout(0.1), Dense(5, "elu(0.7)"), Dense(2, "softmax")], cost="cross-entropy(0.1)", device=ops,
                  dtype=dtype, seed=5, standardize=True)
    net.fit(x, y, optimizer="adam(0.01)", epochs=2)
    net.metadata |= {"classes": ["no", "ÿ"], "best": np.float32(0.5)}
    net.export(path)
    back = load(path, device=ops)
    assert repr(back) == repr(net) and (back.feedforward(x) == net.feedforward(x)).all()
    assert back.history == net.history and back.epoch == 2 and back.metadata == {"classes": ["no", "ÿ"], "best": 0.5}
    assert back.training_state is None and net.training_state is not None
    before = path.read_bytes()
    back.export(path)
    assert path.read_bytes() == before, "exported again over itself"
    assert len(back.fit(x, y, epochs=1).cost) == 3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_reference_reads_it_bit_by_bit_and_writes_the_same(net, dtype, path):
    needs("safetensors")
    from safetensors import safe_open
    from safetensors.numpy import load as its_load
    from safetensors.numpy import save, save_file

    net = Network([4, *[5] * 11, 2], dtype=dtype, seed=3, device="cpu") if dtype == "float64" else net   # w10 is before w2
    net.export(path)
    content, found = path.read_bytes(), its_load(path.read_bytes())
    assert found.keys() == dict(net.parameters.items()).keys()
    for name, view in net.parameters.items():
        assert found[name].tobytes() == view.tobytes() and found[name].shape == view.shape and found[name].dtype == dtype
    with safe_open(path, "np") as file:
        metadata = file.metadata()
    assert metadata["format"] == "np" and json.loads(metadata["gpubp"]) == pack(net, resumable=False)[0]
    its = save(found, metadata)
    assert taken_apart(its) == taken_apart(content) and len(its) == len(content)
    names = [[*taken_apart(text)[0]][1:] for text in (its, content)]
    assert names[0] == names[1] == sorted(names[0]), "in one order"
    save_file(found, path, metadata)
    back = load(path, device="cpu")
    assert as_before(back)[0] == as_before(net)[0] and back.metadata == net.metadata and back.history == net.history


def test_tensors_begin_at_multiples_of_eight_bytes(path):
    """Of the file, whatever the length of the metadata is."""
    for count in range(9):
        net = Network([1, 1], seed=1, device="cpu", dtype="float64")
        net.metadata["text"] = "x" * count
        net.export(path)
        assert int.from_bytes(path.read_bytes()[:8], "little") % 8 == 0
        assert load(path, device="cpu").metadata == net.metadata


@pytest.mark.parametrize("order", "<>")
def test_arrays_of_either_byte_order_and_their_views(order):
    arrays = {"b": np.arange(6, dtype=f"{order}f4").reshape(2, 3).T, "a": np.array(2.5, f"{order}f8"),
              "c": np.zeros((0, 3), "f4")}
    found = Tensors(io.BytesIO(contents(arrays, {"one": "1"})))
    assert [*found.members] == ["a", "b", "c"] and found.texts == {"one": "1"} and found.text("one") == "1"
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype.newbyteorder("<") and found.layout(name)[1:] == (array.shape, False)


def test_custom_entries(path, random):
    net = Network([4, Dense(5, CUBE), Dense(2, "tanh")], cost=FOURTH, device="cpu", seed=1)
    net.export(path)
    with pytest.raises(ValueError, match=r"net.safetensors needs your own cube and fourth: pass .*custom="):
        load(path)
    back, x = load(path, device="cpu", custom=[FOURTH, CUBE]), random.standard_normal((5, 4))
    assert (back.feedforward(x) == net.feedforward(x)).all()


def test_the_content_decides_how_a_file_is_read(net, tmp_path):
    net.export(tmp_path / "a.safetensors")
    net.save(tmp_path / "b.safetensors")
    (tmp_path / "a.safetensors").rename(tmp_path / "a.npz")
    assert load(tmp_path / "a.npz", device="cpu").training_state is None
    assert load(tmp_path / "b.safetensors", device="cpu").training_state is not None


# ---- damage

@pytest.mark.parametrize("step", [9, pytest.param(1, marks=pytest.mark.long)])
def test_truncated_lengths_and_trailing_bytes(net, path, step):
    net.export(path)
    content = path.read_bytes()
    for length in [*range(9), *range(9, len(content), step), len(content) - 1]:
        refused(path, content[:length])
    for more in (b"\0", b" ", b"\0" * 4096):
        assert "bytes of tensors" in refused(path, content + more)


@pytest.mark.parametrize("trials", [200, pytest.param(1200, marks=pytest.mark.long)])
def test_bytes_that_changed(net, path, random, trials):
    """Either the file is refused, or it is a network of exactly these numbers. Every fourth damage is in the numbers."""
    net.export(path)
    content, (_, data) = path.read_bytes(), taken_apart(path.read_bytes())
    counts = {True: 0, False: 0}
    for trial in range(trials):
        damaged, first = bytearray(content), len(content) - len(data) if trial % 4 == 0 else 0
        for place in random.integers(first, len(content), size=1 + trial % 3):
            damaged[place] = random.integers(256) if trial % 2 else damaged[place] ^ 1 << random.integers(8)
        path.write_bytes(damaged)
        try:
            back = load(path, device="cpu")
        except ValueError as error:
            assert str(error).startswith(f"{path} ") and str(error).isprintable() and len(str(error)) < 500, error
            counts[False] += 1
        else:
            assert contents(pack(back)[1], {})[-len(data):] == damaged[-len(data):] and np.isfinite(back.vector).all()
            counts[True] += 1
    assert min(counts.values()) > trials // 6, counts


@pytest.mark.parametrize("name", ["net.safetensors", "net.npz"])
def test_an_empty_file_is_said_to_be_empty(tmp_path, name):
    assert refused(tmp_path / name, b"").endswith("is damaged (it is empty): save it again or use a copy")


@pytest.mark.parametrize("name", ["net.safetensors", "net.npz"])
def test_a_file_that_is_neither(net, tmp_path, name):
    """Nor the first bytes of one of the two."""
    path = tmp_path / name
    net.export(tmp_path / "whole.safetensors")
    net.save(tmp_path / "whole.npz")
    begun = [(tmp_path / f"whole{ending}").read_bytes()[:count] for ending, count in ((".safetensors", 8), (".npz", 500))]
    for content in (b"a", bytes(100), b"[1, 2]", b'{"format": "gpubp 1"}', *begun):
        assert refused(path, content).endswith(
            f"{name} is not a gpubp network, or is damaged (it is no whole archive of arrays): save it again or use a copy")


ONE = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize("header, words", [
    (b"{", "is damaged"), (b"{}", "it holds 0 tensors, none, without metadata gpubp"), (b"{]", "is damaged"),
    (b'{"a":' + b"[" * 100_000, "recursion"), (b'{"a":' * 50_000, ""), (b'{"a": ' + b"9" * 5000 + b"}", ""),
    (b"{\xff\xfe}", "utf-8"), ('{"a": 1}'.encode("utf-16-le"), ""), ({"a": 3}, "expected a to be a dictionary, got 3"),
    ({"a": [ONE]}, "a to be a dictionary"),
    ({"__metadata__": []}, "a dictionary of texts"), ({"__metadata__": None}, "a dictionary of texts"),
    ({"__metadata__": {"gpubp": {}}}, "a dictionary of texts"), ({"__metadata__": {"gpubp": 1}}, "a dictionary of texts"),
    ({"__metadata__": {"gpubp": "{"}}, "Expecting"), ({"__metadata__": {"gpubp": "[]"}}, "expected its format"),
    ({"__metadata__": {"gpubp": "{}"}}, "expected its format"), ({"__metadata__": {"gpubp": '{"format": 4}'}}, "expected header"),
    ({"__metadata__": {"gpubp": '{"format": 4, "format": 4}'}}, "'format' 2 times"),
    (b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "a": {}}', "'a' 2 times"),
    (b'{"a": {"dtype": "F32", "dtype": "F32"}}', "'dtype' 2 times"), (b'{"__metadata__": {}, "__metadata__": {}}', "2 times"),
    ({"__metadata__": {"gpubp": "{}"}, "gpubp": ONE}, "expected other names of tensors than in the metadata, got gpubp"),
    ({"ensemble": ONE}, "it holds 1 tensors, ensemble, without metadata ensemble"),
    ({"a\x1b[2J": ONE, "\ud800": {**ONE, "data_offsets": [8, 8]}}, "a\\x1b[2J"),
    *(({"a": {**ONE, **change}}, "expected a") for change in (
        {"dtype": 1}, {"dtype": None}, {"shape": 2}, {"shape": [-1]}, {"shape": [2.0]}, {"shape": [True]}, {"shape": [2**53 + 1]},
        {"shape": [1] * 65}, {"shape": [2**53] * 65}, {"shape": [[2]]}, {"data_offsets": [0]}, {"data_offsets": [0, 8, 8]},
        {"data_offsets": [0, 8.0]}, {"data_offsets": [-8, 0]}, {"data_offsets": [8, 0]}, {"data_offsets": [1, 8]},
        {"data_offsets": "08"}, {"data_offsets": [0, 2**63]}, {"more": 1})),
    ({"a": {"dtype": "F32", "shape": [2]}}, "expected a with 'data_offsets'"),
    ({"a": {**ONE, "data_offsets": [0, 7]}}, "expected 7 bytes of tensors, got 8"),
    ({"a": {**ONE, "data_offsets": [0, 2**53]}}, "bytes of tensors, got 8"),
    ({"a": ONE, "b": ONE}, "expected b to begin at byte 8 of the tensors, got 0 to 8"),
    ({"a": {**ONE, "data_offsets": [0, 4]}, "b": {**ONE, "data_offsets": [5, 8]}}, "expected b to begin at byte 4"),
    ({"a": {**ONE, "data_offsets": [0, 6]}, "b": {**ONE, "data_offsets": [2, 8]}}, "expected b to begin at byte 6"),
])
def test_headers_that_are_none(path, header, words):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    message = refused(path, together(text, bytes(8 * (b"dtype" in text))))
    assert words in message, message


@pytest.mark.parametrize("length", [0, 1, 7, 9, 2**31, 99_999_999, 100_000_000, 100_000_001, 2**63 - 1, 2**64 - 1])
def test_lengths_that_lie(path, length):
    refused(path, length.to_bytes(8, "little") + b"{}      ")


def test_a_header_above_the_limit(path, net, monkeypatch):
    """Neither read nor written."""
    net.export(path)
    content = path.read_bytes()
    monkeypatch.setattr(safetensors, "LONGEST", int.from_bytes(content[:8], "little") - 1)
    assert f"expected a header of at most {safetensors.LONGEST} bytes" in refused(path, content)
    with pytest.raises(ValueError, match=r"bytes of metadata, which safetensors permits, got .*: remove what is large"):
        net.export(path)
    assert path.read_bytes() == content


def test_tensors_that_do_not_fit_the_header_of_the_network(net, path):
    net.export(path)
    header, data = taken_apart(path.read_bytes())
    changed = lambda name, **facts: refused(path, together({**header, name: {**header[name], **facts}}, data))
    assert "expected w1 of 100 bytes" in changed("w1", shape=[5, 5]) and "expected w1 of 0 bytes" in changed("w1", shape=[5, 0])
    assert "w1 to be float32 of shape (5, 4), got float32 of shape (4, 5)" in changed("w1", shape=[4, 5])
    assert "got float32 of shape (20,)" in changed("w1", shape=[20])
    assert "got float64 of shape (10,)" in changed("w1", dtype="F64", shape=[10])
    for dtype in ("F16", "BF16", "I32", "F8_E4M3", "f32", "x" * 999):
        assert "expected w1 to be F32 or F64, got" in changed("w1", dtype=dtype)
    for size in (2**31, 2**53):
        assert "expected w1 of" in changed("w1", shape=[size] * 9)
    without = {name: tensor for name, tensor in header.items() if name != "w2"}
    start, stop = header["w2"]["data_offsets"]
    assert stop == len(data) and "got w2 missing" in refused(path, together(without, data[:start]))
    assert "v9 as foreign ones" in refused(path, together(
        {**header, "v9": {"dtype": "F32", "shape": [1], "data_offsets": [stop, stop + 4]}}, data + bytes(4)))


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_parameters_are_finite(net, path, number):
    net.export(path)
    header, data = taken_apart(path.read_bytes())
    start, _ = header["w2"]["data_offsets"]
    message = refused(path, together(header, data[:start] + np.float32(number).tobytes() + data[start + 4:]))
    assert "expected finite numbers in w2, got NaN or infinity" in message


def test_a_network_that_the_file_is_too_small_for(net, path):
    """Its header speaks of 3.2 GB."""
    net.export(path)
    header, data = taken_apart(path.read_bytes())
    inner = json.loads(header["__metadata__"]["gpubp"])
    inner["layers"][2]["neurons"] = 200_000_000
    header["__metadata__"]["gpubp"] = json.dumps(inner)
    assert "expected w1 to be float32 of shape (200000000, 4), got" in refused(path, together(header, data))


def test_a_newer_format_says_so(net, path):
    net.export(path)
    header, data = taken_apart(path.read_bytes())
    header["__metadata__"]["gpubp"] = json.dumps({**json.loads(header["__metadata__"]["gpubp"]), "format": 5})
    path.write_bytes(together(header, data))
    with pytest.raises(ValueError, match="has format 5, this gpubp reads 4: use the version that wrote it"):
        load(path)


def test_a_file_of_another_library_says_what_it_holds(path):
    needs("safetensors")
    from safetensors.numpy import save_file

    save_file({f"encoder.{i}": np.ones((2, 3), "float16") for i in range(20)}, path, {"format": "pt"})
    content = path.read_bytes()
    message = refused(path, content)
    assert "it holds 20 tensors, encoder.0, " in message and "..., without metadata gpubp" in message
