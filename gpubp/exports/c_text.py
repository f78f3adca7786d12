"""A model as one C99 file: constants, and functions that compute outputs and labels without gpubp, heap or static memory."""

import re
from contextlib import suppress
from fractions import Fraction
from functools import cache
from itertools import cycle
from pathlib import Path
from shlex import quote
from string import Template
from textwrap import fill

import numpy as np

from ..maths import c99
from ..maths.activations import Activation
from ..maths.costs import Cost
from ..maths.validation import shown
from .model import FILLED, MISSING, NUMBER, Model, fact_text, spelled
from .quantization import Quantization, int8_rows

PER_LINE = {"float32": 6, "float64": 4, "int8": 20, "int32": 20}
INTEGERS = {"int8": "int8_t", "int32": "int"}
LONGEST_NAME = 4095   # bytes of a string literal that every C99 compiler takes


@cache
def _templates():
    """{name: Template} of the parts of network.c."""
    parts = Path(__file__).with_name("network.c").read_text("utf-8").split("==== ")[1:]
    return {name: Template(text) for name, _, text in (part.partition("\n") for part in parts)}


def c_text(model: Model, file: str, quantization: Quantization | None = None) -> str:
    """The model as C99, for a file of this name; with a quantization, which its comment mentions, weights are int8.

    Raises ValueError if something of the model cannot be written as C99.

    >>> import gpubp, numpy as np
    >>> from gpubp.exports.model import Layer, Model
    >>> layer = Layer(np.ones((1, 2), "float32"), np.zeros(1, "float32"), gpubp.activations.relu)
    >>> next(line for line in c_text(Model((layer,)), "net.c").splitlines() if line.startswith("void"))
    'void net_predict(const float x[NET_INPUTS], float y[NET_OUTPUTS]);'
    """
    return _Text(model, file, quantization).whole()


def identifier(file):
    """A file's name without its ending as the beginning of names in C.

    >>> identifier("my net-2.c"), identifier("3.c")
    ('my_net_2', 'net_3')
    """
    name = re.sub(r"[^0-9A-Za-z]+", "_", file.rpartition(".")[0]).strip("_")
    return name if name[:1].isalpha() else f"net_{name}".rstrip("_")


def comment(text):
    """A text in a comment of C: ASCII in one line, which neither ends the comment nor is a trigraph."""
    return re.sub(r"(?<=\*)(?=/)|(?<=/)(?=\*)|(?<=\?)(?=\?)", " ", text.encode("unicode_escape").decode())


def paragraph(text):
    """A text as indented lines of a comment."""
    return fill(comment(text), 120, initial_indent="   ", subsequent_indent="      ")


def string(text):
    """A string literal of C: UTF-8, with octal escapes for whatever is not a plain character."""
    encoded = text.encode("utf-8", "surrogatepass")
    if len(encoded) > LONGEST_NAME:
        raise ValueError(f"expected classes and categories of at most {LONGEST_NAME} bytes, got {shown(text)}: shorten it")
    return '"' + "".join(chr(c) if 32 <= c < 127 and chr(c) not in '"\\?' else f"\\{c:03o}" for c in encoded) + '"'


class _Text:
    """The parts of a file, and the words of its templates."""

    def __init__(self, model, file, quantization):
        self.model, self.quantization, self.dtype, self.constants = model, quantization, model.dtype, 0
        self.has_words = any("categories" in column for column in model.columns or ())
        name, (T, f), (off, on), int8 = identifier(file), c99.TYPES[model.dtype.name], map(int, model.codes), bool(quantization)
        self.words = {
            "name": name, "NAME": name.upper(), "file": comment(file), "shell": comment(quote(file)), "T": T, "f": f,
            "zero": "0.0" + f, "on": on, "off": off,
            "inputs": model.inputs, "outputs": model.outputs, "middle": f"{0.5 * (off + on)}{f}",
            "SIZE": f"{name.upper()}_{'COLUMNS' if model.columns else 'INPUTS'}", "width": model.width,
            "number": NUMBER, "filled": FILLED, "missing": MISSING,
            "invalid": 0 if off == -1 else -1, "read": "%lf" if T == "double" else "%f", "digits": 17 if T == "double" else 9,
            "W": "int8_t" if int8 else T, "cast": f"({T})" * int8, "scaled": ", times its scale" * int8,
            "scale": "scale[j] * " * int8, "scale_parameter": f"const {T} *scale, " * int8}

    def whole(self):
        sigmas = self.activations()
        tables, predict = self.predict(sigmas)
        declarations, definitions = self.functions()
        facts = "\n".join(paragraph(f"{name}: {fact_text(fact)}") for name, fact in self.facts().items())
        head = self.part("head", facts=facts, columns=self.about_columns(), constants=self.constants, stack=self.stack,
                         declarations=declarations, stdint="\n#include <stdint.h>" * bool(self.quantization))
        return "\n".join([head, *tables, *(source for _, source in sigmas.values()), self.part("layer"), predict, *definitions,
                          self.part("main")])

    def part(self, name, **more):
        return _templates()[name].substitute(self.words, **more)

    def about_columns(self):
        """What each number of x means, for the comment."""
        lines = []
        for place, column in enumerate(self.model.columns or ()):
            words = ", ".join(f"{k} {'if it is missing' if word is None else shown(word)}"
                              for k, word in enumerate(column.get("categories", ())))
            fill = column.get("fill")
            about = f"a word: {words}" if words else f"a number, {'never' if fill is None else f'{fill:.6g} if it is'} missing"
            lines.append(f"x[{place}]: {column['name']}, {about}")
        words = f" A word is the index that\n   {self.words['name']}_category returns." * self.has_words
        return self.part("about columns", words=words, lines="\n".join(map(paragraph, lines))) if lines else ""

    def facts(self):
        if not (q := self.quantization):
            return self.model.facts
        return self.model.facts | {"weights": f"int8, with a scale for each neuron; {q.metric} on {q.samples} test samples: "
                                              f"{q.quantized:.6g}, with weights of {self.dtype.name} {q.exact:.6g}"}

    def activations(self):
        """{Activation, or the Cost with a deviation: (name, source) of its function}."""
        found: dict[Activation | Cost, tuple[str, str]] = {}
        for activation in dict.fromkeys(layer.activation for layer in self.model.layers):
            name = f"{self.words['name']}_" + ("softmax" if activation.rowwise else f"sigma{len(found) + 1}")
            source = (self.part("softmax") if activation.rowwise else
                      spelled(activation, c99.function, name, activation.sigma, ["z"], self.dtype) + "\n")
            about = ": ".join(filter(None, [activation.name, activation.formula]))
            found[activation] = name, f"/* {comment(about)} */\n{source}"
        if cost := self.model.deviation:
            source = spelled(cost, c99.function, name := f"{self.words['name']}_deviation", cost.deviation, ["s"], self.dtype)
            found[cost] = name, f"/* {comment(f'standard deviation of cost {cost.name}')} */\n{source}\n"
        return found

    def table(self, name, values):
        """The definition of a constant array; each row of a matrix begins a new line."""
        self.constants += values.nbytes
        kind, per_line = INTEGERS.get(values.dtype.name, self.words["T"]), PER_LINE[values.dtype.name]
        rows = [[*map(str, row.tolist())] if values.dtype.kind == "i" else c99.literals(row) for row in np.atleast_2d(values)]
        lines = [", ".join(row[i:i + per_line]) for row in rows for i in range(0, len(row), per_line)]
        return f"static const {kind} {self.words['name']}_{name}[{values.size}] = {{\n    " + ",\n    ".join(lines) + "\n};\n"

    def scaling(self):
        """(factor, arrays): x is (factor x - shift - shift_rest) / scale by all scalings together.

        Where x is near its shift, x - shift is exact, so that the difference has its digits even if the shift is far larger.
        """
        shift, scale = self.model.scaling(Fraction)
        factor = 0.25 if max(map(abs, shift)) > 1e-9 * float(np.finfo(self.dtype).max) else 1.0   # x - shift must not overflow
        shift, scale = ([x * Fraction(factor) for x in values] for values in (shift, scale))
        found = {"shift": self.rounded(shift, "x")}
        found["shift_rest"] = self.rounded((x - Fraction(y) for x, y in zip(shift, found["shift"].tolist())), "x")
        found["scale"] = self.rounded(scale, "x", 0.0)
        return factor, {name: values for name, values in found.items() if values.any()}

    def rounded(self, numbers, data, never=np.inf):
        """Exact numbers in the model's dtype."""
        found = np.array([np.inf])
        with suppress(OverflowError), np.errstate(over="ignore", under="ignore"):
            found = np.array([*map(float, numbers)]).astype(self.dtype)
        if not (np.isfinite(found) & (found != never)).all():
            raise ValueError(f"expected means and standard deviations of {data} in the range of {self.dtype.name}, got some "
                             f"outside it: train on {data} in other units")
        return found

    def predict(self, sigmas):
        """The tables, and the function that goes through the layers, from one buffer to the other."""
        name, tables, lines, source, buffers = self.words["name"], [], [], "x", cycle(["ping", "pong"])
        widths: dict[str, int] = {}

        def each(size, statement, first=0):
            lines.extend([f"for (int i = {first}; i < {size}; ++i)", f"    {statement}"])

        def buffer(size):
            chosen = next(buffers)
            widths[chosen] = max(size, widths.get(chosen, 0))
            return chosen

        if self.model.scalings or self.model.columns:
            factor, arrays = self.scaling()
            tables += [self.table(*pair) for pair in arrays.items()]
            source, given = buffer(self.model.inputs), "value" if self.model.columns else "x[i]"
            if factor != 1.0:
                given = f"{factor}{self.words['f']} * {given}"
            for array in [*arrays][:-1]:
                given = f"({given} - {name}_{array}[i])"
            if "shift_rest" in arrays:
                lines.append(f"/* shift_rest is what shift has lost by rounding to {self.words['T']} */")
            if self.model.columns:
                tables += self.column_tables()
                lines.append(self.part("inputs", target=source, scaled=f"{given} / {name}_scale[i]").rstrip())
            else:
                each(self.model.inputs, f"{source}[i] = {given} / {name}_scale[i];")
        for l, layer in enumerate(self.model.layers, 1):
            neurons, inputs = layer.w.shape
            target = "y" if l == len(self.model.layers) else buffer(neurons)
            weights = dict(zip(("w", "scale"), int8_rows(layer.w))) if self.quantization else {"w": layer.w}
            arrays = {f"{letter}{l}": values for letter, values in (weights | {"b": layer.b}).items()}
            tables += [self.table(*pair) for pair in arrays.items()]
            given = ", ".join(f"{name}_{array}" for array in arrays)
            lines.append(f"{name}_layer({given}, {source}, {inputs}, {target}, {neurons});")
            sigma, _ = sigmas[layer.activation]
            if layer.activation.rowwise:
                lines.append(f"{sigma}({target}, {neurons});")
            else:
                each(neurons, f"{target}[i] = {sigma}({target}[i]);")
            source = target
        if self.model.deviation:
            each(self.model.outputs, f"y[i] = {sigmas[self.model.deviation][0]}(y[i]);", first=self.model.targets)
        if self.model.target_scaling:
            for array, values in zip(("target_shift", "target_scale"), self.model.target_scaling):
                tables.append(self.table(array, self.rounded(values.tolist(), "y")))
            each(self.model.outputs, f"y[i] = y[i] * {name}_target_scale[i] + {name}_target_shift[i];")
        self.stack = sum(widths.values()) * self.dtype.itemsize
        locals_ = [f"{self.words['T']} {', '.join(f'{buffer}[{size}]' for buffer, size in widths.items())};"] if widths else []
        return tables, self.part("predict", lines="\n    ".join([*locals_, *lines]))

    def column_tables(self):
        """The definitions of where inputs come from."""
        places, codes, fills, *_ = zip(*self.model.sources())
        shift, scale = self.model.scaling(Fraction)
        filled = (Fraction(0) if fill is None else (Fraction(fill) - s) / size for fill, s, size in zip(fills, shift, scale))
        tables = [self.table("columns", np.array(places, np.int32)), self.table("codes", np.array(codes, np.int32)),
                  self.table("filled", self.rounded(filled, "x"))]
        if self.has_words:
            words = [word for column in self.model.columns
                     for word in column.get("categories") or [None] * (1 + column["indicator"])]
            tables.append(f"static {self.names('words', words)[1]}")
        return tables

    def names(self, name, texts):
        """The type and the name of an array of texts, and its definition."""
        kind = f"const char *const {self.words['name']}_{name}[{len(texts)}]"
        values = ",\n    ".join("0" if text is None else string(str(text)) for text in texts)
        return kind, f"{kind} = {{\n    {values}\n}};\n"

    def functions(self):
        """The declarations and the definitions of what labels and categories need."""
        model, single, declarations, definitions = self.model, self.model.outputs == 1, [], []
        if model.task in ("classification", "multi-label"):
            definitions.append(self.part("single" if model.task == "classification" and single else model.task))
            declarations += [definitions[0].partition("\n{")[0] + ";"]
        if model.classes:
            names, definition = self.names("classes", model.classes)
            label, index = (("labels[i]", "i") if model.task == "multi-label" else
                            ("a label", "label > 0" if single and model.codes[0] == -1 else "label"))
            declarations.append(f"/* The name of {label} is {self.words['name']}_classes[{index}], in UTF-8. */\nextern {names};")
            definitions.append(definition)
        if self.has_words:
            definitions.append(self.part("category"))
            declarations.append(definitions[-1].partition("\n{")[0] + ";")
        return "".join(f"\n{text}\n" for text in declarations), definitions
