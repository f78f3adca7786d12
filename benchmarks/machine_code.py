"""The machine code of the kernels: the number of instructions of a loop, and of loads in flight.

NVRTC compiles and nvdisasm disassembles, without a GPU: pip install "gpubp[peers]".

    python -m benchmarks.machine_code    renews results/machine-code.json, but keeps its figures of the earlier kernels
"""

import json
import re
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from gpubp.devices import kernel_source
from gpubp.maths.activations import ACTIVATIONS
from gpubp.maths.costs import COSTS
from gpubp.maths.gradient_transforms import Chain

CODE = Path(__file__).parent / "results" / "machine-code.json"
LINE = re.compile(r"/\*([0-9a-f]{4,})\*/\s+(?:@!?\w+\s+)?([A-Z][\w.]*)\s*([^;]*);")
LABEL = re.compile(r"^(\.L_\w+):", re.MULTILINE)


class Loop(NamedTuple):
    """An innermost loop: its instructions, and the most loads from global memory issued before one of them is needed."""

    instructions: int
    loads: int


def nvdisasm():
    """The path of the disassembler, or None."""
    from shutil import which

    try:
        from cuda.pathfinder import find_nvidia_binary_utility
        return find_nvidia_binary_utility("nvdisasm") or which("nvdisasm")
    except ImportError:
        return which("nvdisasm")


def machine_code(text, architecture=90):
    """{kernel: its listing} of a program, compiled with the options that CuPy passes too."""
    from cuda.bindings import nvrtc

    _, program = nvrtc.nvrtcCreateProgram(text.encode(), b"kernel.cu", 0, [], [])
    options = [*kernel_source.options(), "-ftz=true", f"-arch=sm_{architecture}"]
    failed, = nvrtc.nvrtcCompileProgram(program, len(options), [option.encode() for option in options])
    if failed:
        raise RuntimeError(f"NVRTC refuses the program: {failed}")
    code = bytes(nvrtc.nvrtcGetCUBINSize(program)[1])
    nvrtc.nvrtcGetCUBIN(program, code)
    nvrtc.nvrtcDestroyProgram(program)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        Path(file.name).write_bytes(code)
        listing = subprocess.run([nvdisasm(), "-c", file.name], capture_output=True, text=True, check=True).stdout
    parts = re.split(r"^\.text\.(\w+):", listing, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


def loops(listing):
    """The innermost loops of a kernel, in the order of the code."""
    places, lines = {}, []
    for line in listing.splitlines():
        if label := LABEL.match(line):
            places[label[1]] = len(lines)
        elif found := LINE.search(line):
            lines.append((found[2], found[3]))
    spans = [(places[target[1]], end) for end, (name, operands) in enumerate(lines)
             if name.startswith("BRA") and (target := re.search(r"`\((\.L_\w+)\)", operands)) and places[target[1]] < end]
    inner = [span for span in spans if not any(span[0] <= a and b <= span[1] and (a, b) != span for a, b in spans)]
    return [Loop(end - start + 1, under_way(lines[start:end + 1])) for start, end in sorted(inner)]


def programs():
    """{label: (text, kernel)} of the loops in the table."""
    found = {}
    for storage in (None, "uint16"):
        kind = {None: "float32", "uint16": "bfloat16"}[storage]
        layer = kernel_source.layer_source(ACTIVATIONS["sigmoid"], "float32", storage)
        found |= {f"{name}, sigmoid, {kind}": (layer, name) for name in ("layer_wide", "activation_backward_wide")}
        found |= {f"{name}, {kind}": (kernel_source.source(file, "float32", storage=storage), name)
                  for file, name in (("sums.cu", "column_sums_wide"), ("softmax.cu", "softmax"))}
    for cost, activation in (("quadratic", "sigmoid"), ("softmax_cross_entropy", "softmax")):
        found[f"cost_and_delta, {cost} of {activation}"] = kernel_source.output_source(
            COSTS.find(cost), ACTIVATIONS[activation], "float32"), "cost_and_delta"
    sums, scale = (kernel_source.source(file, "float32") for file in ("sums.cu", "scale.cu"))
    found |= {"total": (sums, "total"), "squares": (sums, "squares"), "unscale": (scale, "unscale")}
    return found | {f"step_wide, {name}": (kernel_source.step_source(Chain.of(name), "float32"), "step_wide")
                    for name in ("sgd", "adam")}


def figures():
    """{label: [instructions, loads]} for each kernel, of its loop with the most loads in flight."""
    return {label: list(max(loops(machine_code(text)[kernel]), key=lambda loop: loop.loads))
            for label, (text, kernel) in programs().items()}


def compiler_name():
    """The version of the compiler, and the architecture."""
    from cuda.bindings import nvrtc

    return "NVRTC {}.{}, sm_90".format(*nvrtc.nvrtcVersion()[1:])


def under_way(lines):
    """The most loads issued before the result of one is needed."""
    pending, most = set(), 0
    for name, operands in lines:
        registers = {int(n) for n in re.findall(r"\bR(\d+)\b", operands)}
        if any(first <= n < last for n in registers for first, last in pending):
            pending = set()
        if name.startswith("LDG"):
            first, width = int(re.match(r"R(\d+)", operands)[1]), 4 if ".128" in name else 2 if ".64" in name else 1
            pending.add((first, first + width))
            most = max(most, len(pending))
    return most


if __name__ == "__main__":
    known, now = json.loads(CODE.read_text()), figures()
    known |= {"compiler": compiler_name(), "loops": {label: [known["loops"][label][0], now[label]] for label in now}}
    CODE.write_text(json.dumps(known, indent=1) + "\n")
