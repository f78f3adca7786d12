"""Export: what a network computes, as a file for programs without gpubp."""

import os
from os import PathLike
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from ..atomic import atomically
from ..exports import safetensors
from ..exports.model import Layer, Model
from ..exports.quantization import Quantization, int8_rows
from ..maths.validation import shown
from .input_checks import target_count
from .layers import description
from .packing import pack
from .task import METRICS


def export(network: Any, path: str | PathLike, weights: Literal["int8"] | None = None,
           test: tuple[ArrayLike, ArrayLike] | None = None) -> Quantization | None:
    """Write what feedforward computes, for programs without gpubp; with a cost such as gaussian_nll, what predict returns.

    Parameters
    ----------
    path : str or path-like
        Its ending names the format. A previous file stays until the new one is complete.
        .c: one C99 file that needs only math.h, no heap and no static memory. Of net.c, net_predict(x, y) writes the outputs y of
        a sample x. net_label(y), or net_labels(y, labels) of a multi-label network, gives what predict returns.
        .onnx: ONNX of opset 13, with standard operators only. Input "x" (n, inputs) and output "y" (n, outputs) have the
        network's dtype; n may vary. A classification or multi-label network has the int64 output "label", too, which is what
        predict returns. metadata_props contain task and codes. onnxruntime 1.15 computes float32 files, and 1.19 float64.
        .safetensors: parameters as w1, b1, ..., for other libraries and for gpubp.load. The metadata contain the layers, the
        history and net.metadata, but not the optimizer's state: use net.save to resume training.
        .json: parameters, and activations by name, formula and JavaScript, as text.
    weights : "int8", optional
        Only for .c: weights as int8 with one scale for each neuron, a quarter of the memory of float32. Everything else keeps the
        network's dtype. By default, weights do, too.
    test : (x, y), optional
        Samples, as for score, on which the loss of accuracy by int8 weights is measured. Only weights="int8" takes and needs it.

    Returns
    -------
    Quantization or None
        With weights="int8", (metric, samples, exact, quantized): the scores with the network's own weights and with int8 weights.
        The file's comment contains them, too.

    With a cost that has deviations, such as gaussian_nll, y is what predict returns: first the means, then as many standard
    deviations, in one row. The comment of C, the metadata_props of ONNX and the facts of JSON say so, under "outputs".

    Your own activations, and the deviation of your own cost, are written, too. Dropout does nothing, as in feedforward. The
    file contains the standardization. It does not check samples: NaN and infinity pass through the layers. Of outputs with NaN,
    C gives the label -1 (0 where -1 is a label), and ONNX any label: look at y. `gpubp export` writes files that take the
    columns of a table, with words and missing values, for networks of `gpubp train`.

    Raises ValueError for another ending, if a parameter is NaN or infinite, if the format cannot express an activation or a
    deviation, if an ONNX file would have 2 GiB or more, and if weights or test is not as described; TypeError if net.metadata
    holds something that JSON cannot hold (.safetensors); OSError if the file cannot be written.

    >>> import gpubp, tempfile
    >>> path = tempfile.mkdtemp() + "/net.json"
    >>> gpubp.Network([2, 1], seed=1).export(path)
    >>> open(path).readline()
    '{"format": "gpubp 1",\\n'
    """
    return write(network, model_of(network), path, weights, test)


def _formats():
    """{ending: function of a network, its Model, the file's name and a Quantization that returns the contents}."""
    from ..exports.c_text import c_text  # needed rarely
    from ..exports.json_text import json_text
    from ..exports.onnx import onnx

    return {".c": lambda _, model, *more: c_text(model, *more).encode(), ".onnx": lambda _, model, *more: onnx(model),
            ".safetensors": lambda network, *more: _safetensors(network),
            ".json": lambda _, model, *more: json_text(model).encode()}


def _safetensors(network):
    import json  # only files need it

    header, arrays = pack(network, resumable=False)
    return safetensors.contents(arrays, {"format": "np", "gpubp": json.dumps(header)})


def ending_of(path):
    """The ending of a path. Raises ValueError if it names no format."""
    formats, ending = _formats(), os.path.splitext(os.fsdecode(path))[1].lower()
    if ending not in formats:
        raise ValueError(f"expected a name that ends in {', '.join(formats)}, got {shown(os.fsdecode(path))}: give the file a "
                         "name with one of these endings")
    return ending


def write(network, model, path, weights=None, test=None):
    """Write the file of contents_of; returns its Quantization, if any."""
    contents, quantization = contents_of(network, model, path, weights, test)
    save(path, contents)
    return quantization


def contents_of(network, model, path, weights=None, test=None):
    """(bytes, Quantization or None) of a file with the model, which is what the network computes, perhaps between scalings."""
    ending = ending_of(path)
    network.parameters.require_finite()
    quantization = _quantization(network, model, ending, weights, test)
    return _formats()[ending](network, model, os.path.basename(os.fsdecode(path)), quantization), quantization


def save(path, contents):
    """Write the bytes of contents_of; a previous file stays until the new one is complete."""
    atomically(path, lambda file: file.write(contents), "the exported network")


def _quantization(network, model, ending, weights, test):
    """The Quantization of the network, measured on test, or None if weights is None."""
    if weights is None and test is None:
        return None
    if ending != ".c":
        raise ValueError(f"expected a name that ends in .c with weights or test, got {ending}: leave them out")
    if not isinstance(weights, str) or weights != "int8":   # an array would be compared by elements
        raise ValueError(f"expected weights 'int8', or neither weights nor test, got {shown(weights)}: leave both out, or "
                         "pass weights='int8'")
    if not isinstance(test, tuple | list) or len(test) != 2:
        raise ValueError(f"expected test=(x, y) with weights='int8', to measure the loss of accuracy, got {shown(test)}: pass "
                         "samples and their targets")
    twin = network.copy()
    exact = twin.score(*test)
    for l, layer in enumerate(model.layers, 1):
        codes, scale = int8_rows(layer.w)
        twin.parameters.write(f"w{l}", codes * scale[:, None])
    return Quantization(METRICS[twin.task], len(test[0]), exact, twin.score(*test))


def model_of(network, scaling=None, target_scaling=None, classes=None, columns=None):
    """The Model of a network; `gpubp export` adds the scalings, names and columns of the data that it was trained on."""
    host, p, cost, count = network.ops.to_numpy, network.parameters, network.cost_function, target_count(network)
    layers = [Layer(np.array(host(p[f"w{l}"])), np.array(host(p[f"b{l}"])), gate.activation) for l, gate in network.gates.items()]
    own = network.standardization and (network.standardization.shift, network.standardization.scale)
    facts = {"network": description(network, network.dtype.name)}   # not the device: each one writes the same
    if cost.deviation:
        facts["outputs"] = f"{count} mean{'s' * (count > 1)}, then {count} standard deviation{'s' * (count > 1)}"
    return Model(tuple(layers), tuple(filter(None, (scaling, own))), target_scaling, network.task, cost.codes, classes, facts,
                 columns, cost if cost.deviation else None)
