"""An independent reader of ONNX files, which computes them by NumPy: it needs neither onnx nor onnxruntime."""

import numpy as np

TYPES = {1: np.float32, 7: np.int64, 9: np.bool_, 11: np.float64}
ELEMENTWISE = {
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide, "Neg": np.negative, "Abs": np.abs,
    "Equal": np.equal, "Greater": np.greater, "GreaterOrEqual": np.greater_equal, "Less": np.less, "LessOrEqual": np.less_equal,
    "And": np.logical_and, "Or": np.logical_or, "Not": np.logical_not, "Reciprocal": np.reciprocal, "Sign": np.sign,
    "Floor": np.floor, "Exp": np.exp, "Log": np.log, "Sqrt": np.sqrt, "Tanh": np.tanh, "Sin": np.sin, "Cos": np.cos,
    "Atan": np.arctan, "Sinh": np.sinh, "Cosh": np.cosh, "Pow": np.power, "Identity": np.asarray}


def fields(data):
    """{number of a field: [its values]} of a message: integers, or bytes."""
    found: dict[int, list] = {}
    while data:
        key, data = _varint(data)
        value, data = _varint(data)
        assert key & 7 in (0, 2)
        if key & 7 == 2:
            assert value <= len(data)
            value, data = data[:value], data[value:]
        found.setdefault(key >> 3, []).append(value)
    return found


def _varint(data):
    number = 0
    for place, byte in enumerate(data):
        number |= (byte & 127) << 7 * place
        if byte < 128:
            return number, data[place + 1:]
    raise AssertionError("the data end within a number")


def text(message, field):
    (value,) = message[field]
    return value.decode()


def metadata(contents):
    return {text(pair, 1): text(pair, 2) for pair in map(fields, fields(contents).get(14, []))}


def values(graph, field):
    """{name: (dtype, dimensions)} of the inputs (field 11) or the outputs (field 12) of a graph."""
    found = {}
    for value in map(fields, graph[field]):
        tensor = fields(fields(value[2][0])[1][0])
        sizes = [fields(size) for size in fields(tensor[2][0])[1]]
        found[text(value, 1)] = TYPES[tensor[1][0]], [size[2][0].decode() if 2 in size else size[1][0] for size in sizes]
    return found


def tensors(graph):
    """{name: array} of the initializers."""
    found = {}
    for tensor in map(fields, graph.get(5, [])):
        dtype = np.dtype(TYPES[tensor[2][0]]).newbyteorder("<")
        assert text(tensor, 8) not in found
        found[text(tensor, 8)] = np.frombuffer(tensor[9][0], dtype).reshape(tensor.get(1, []))
    return found


def run(contents, **inputs):
    """{name: array} of the outputs."""
    graph = fields(fields(contents)[7][0])
    known = tensors(graph)
    for name, (dtype, sizes) in values(graph, 11).items():
        assert inputs[name].dtype == dtype and inputs[name].shape[1:] == tuple(sizes[1:])
        known[name] = inputs[name]
    for node in map(fields, graph[1]):
        (result,), operator = map(bytes.decode, node[2]), text(node, 4)
        attributes = {text(given, 1): given[3][0] for given in map(fields, node.get(5, []))}
        assert result not in known and all(given[20] == [2] for given in map(fields, node.get(5, [])))
        operands = [known[name.decode()] for name in node[1]]
        with np.errstate(all="ignore"):
            known[result] = _apply(operator, operands, attributes)
    return {name: known[name] for name in values(graph, 12)}


def _apply(operator, operands, attributes):
    if operator in ELEMENTWISE:
        assert attributes == {}
        if operator in ("And", "Or", "Not"):
            assert {operand.dtype for operand in operands} == {np.dtype(bool)}
        assert len({operand.dtype for operand in operands}) == 1   # ONNX casts nothing by itself
        return ELEMENTWISE[operator](*operands)
    if operator == "Where":
        condition, this, that = operands
        assert condition.dtype == bool and this.dtype == that.dtype
        return np.where(condition, this, that)
    if operator == "Cast":
        return operands[0].astype(TYPES[attributes["to"]])
    if operator == "Gather":
        assert attributes == {"axis": 1} and operands[1].dtype == np.int64
        return operands[0].take(operands[1], axis=1)
    if operator == "Gemm":
        assert attributes == {"transB": 1}
        a, w, b = operands
        return a @ w.T + b
    if operator == "Softmax":
        assert attributes == {"axis": 1}
        powers = np.exp(operands[0] - operands[0].max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)
    if operator == "ArgMax":
        assert attributes == {"axis": 1, "keepdims": 0}
        return operands[0].argmax(axis=1)
    assert operator == "Squeeze"
    return operands[0].squeeze(tuple(operands[1]))
