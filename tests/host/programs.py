"""Many programs in one, because compilers spend most of their time on the parts that hundreds of programs share.

Each program gets its own namespace. Its kernels are numbered, because extern "C" names ignore namespaces.
"""

import re
from functools import cache
from typing import NamedTuple

from gpubp.devices import kernel_source

KERNEL = re.compile(r'extern "C" __global__ void (?:__launch_bounds__\([^)]+\) )?(?:CLUSTER_DIMS )?(\w+)\(')
DYNAMIC = "extern __shared__ __align__(16) unsigned char memory[];"   # shared memory whose size a launch gives


def kernels(text):
    """The names of a program's kernels."""
    files = re.findall(r'#include "(\w+\.cu)"', text)
    return KERNEL.findall(text + "".join((kernel_source.folder() / file).read_text() for file in files))


class Parameter(NamedTuple):
    """One parameter of a kernel; a pointer is an output unless it points to const."""

    name: str
    written: bool
    restricted: bool


@cache
def parameters(text, kernel):
    """The parameters of a program's kernel, as its text declares them."""
    whole = text + "".join((kernel_source.folder() / file).read_text() for file in re.findall(r'#include "(\w+\.cu)"', text))
    defined = dict(re.findall(r"^#define (\w+) (.*)$", whole, re.MULTILINE))
    found = next(found for found in KERNEL.finditer(whole) if found[1] == kernel)
    declared = re.sub(r"\b[A-Z]+\b", lambda word: defined.get(word[0], word[0]), whole[found.end():whole.index(")", found.end())])
    return [Parameter(one.split()[-1].strip("*"), "*" in one and "const" not in one, "__restrict__" in one)
            for one in declared.split(",")]


def join(texts, suffix=""):
    """One program of many: kernel k of program n is called k_n; suffix is appended to each program for each name."""
    lines = []
    for number, text in enumerate(texts):
        names = kernels(text)
        lines += [f"#define {name} {name}_{number}" for name in names]
        text = text.replace(DYNAMIC, "void* const memory = emulated_shared_memory();")
        lines += [f"namespace program_{number} {{", text, *(suffix.format(f"{name}_{number}") for name in names), "}"]
        lines += [f"#undef {name}" for name in re.findall(r"#define (\w+)", text) + names]
    return "\n".join(lines) + "\n"
