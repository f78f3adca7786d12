"""Protocol buffers: what is written is read back, by our reader and by the package onnx, which contains Google's."""

import pytest

from gpubp.exports.protobuf import message
from tests.conftest import needs
from tests.exports.onnx_reader import fields

NUMBERS = [0, 1, 127, 128, 300, 2**14 - 1, 2**14, 2**31, 2**63 - 1]
TEXTS = ["", "a", "σ" * 64, "b" * 20_000]


def test_integers_texts_bytes_and_lists():
    every = bytes(range(256))
    data = message({1: NUMBERS, 2: [*TEXTS, every], 15: 1, 16: 2, 2047: "last", 5: []})
    assert fields(data) == {1: NUMBERS, 2: [*(text.encode() for text in TEXTS), every], 15: [1], 16: [2], 2047: [b"last"]}


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("text", TEXTS)
def test_googles_reader_reads_and_writes_the_same_bytes(number, text):
    onnx = needs("onnx")
    data = message({1: number, 2: text, 7: message({1: [message({1: ["", "x"], 4: text})], 2: text})})
    model = onnx.ModelProto.FromString(data)
    assert (model.ir_version, model.producer_name, model.graph.name) == (number, text, text)
    assert [*model.graph.node[0].input] == ["", "x"] and model.graph.node[0].op_type == text
    assert model.SerializeToString() == data
