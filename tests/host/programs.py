"""Many programs in one: compilers spend their time on what programs share, and the tables make hundreds of them.

Each program goes into a namespace of its own, its kernels numbered, since extern "C" names know no namespaces.
"""

import re

from gpubp.devices import compiler

KERNEL = re.compile(r'extern "C" __global__ void (?:__launch_bounds__\([^)]+\) )?(\w+)\(')


def kernels(text):
    """The names of a program's kernels."""
    files = re.findall(r'#include "(\w+\.cu)"', text)
    return KERNEL.findall(text + "".join((compiler.folder() / file).read_text() for file in files))


def join(texts, suffix=""):
    """One program of many: kernel k of program n is called k_n; suffix is written behind each program for each name."""
    lines = []
    for number, text in enumerate(texts):
        names = kernels(text)
        lines += [f"#define {name} {name}_{number}" for name in names]
        lines += [f"namespace program_{number} {{", text, *(suffix.format(f"{name}_{number}") for name in names), "}"]
        lines += [f"#undef {name}" for name in re.findall(r"#define (\w+)", text) + names]
    return "\n".join(lines) + "\n"
