"""The groups of a lowered program as CUDA: each a kernel whose threads take its elements."""

import re
from math import ceil, prod

from ..devices.cuda.launch import THREADS, block_for_rows, chunked, full, grid
from .loops import JOINS, Body, GroupText
from .spelling import C_TYPES

AHEAD = 4                     # elements that a thread reads before it computes
MOST_AHEAD = 48               # arrays and statements, above which it takes one at a time
ELEMENTS_OF_A_THREAD = 16     # of a long row, before other blocks share it
MOST_SMALL = (1 << 31) - 1    # bytes of an array that 32-bit indices suffice for

# the functions of namespace `called` in kernels/group.cuh
CALLED = re.compile(r"\b((?:exp|log)(?:m1|1p|2|10)?|a?(?:sin|cos|tan)h?|cbrt|pow|atan2|hypot|fmod|remainder_of|log_add_exp)\(")


class CudaGroup(GroupText):
    """The text of one group, and the launches that run it on a device with this number of multiprocessors."""

    def __init__(self, group, lowered, stored, functions, processors):
        self.processors = processors
        super().__init__(group, lowered, stored, functions)

    def _task_count(self):
        """The chunks of long rows or columns, which have sums of their own and are the y dimension of the grid."""
        self.length = prod(self.group.shape[i] for i in self.axes)   # of the rows or columns that are reduced
        self.sums = prod(self.group.shape) // self.length
        if self.kind == "none":
            self.block = THREADS,   # the grid depends on the text
            return 1
        if self.kind == "columns":
            self.grid, self.block = chunked(self.length, self.sums, self.processors)
            return self.grid[1]
        self.grid, self.block = self._rows(self.length)
        most = self.length // (THREADS * ELEMENTS_OF_A_THREAD) if self.block[0] == THREADS else 1
        chunks = max(1, min(ceil(full(self.processors) / self.sums), most))
        self.grid = *self.grid, chunks
        return chunks

    def _rows(self, width):
        """(grid, block) for the rows of this width."""
        block = block_for_rows(self.sums, width, self.processors)
        return grid(ceil(self.sums / block[1]) * THREADS), block

    def _partial_count(self):
        return self.tasks * self.sums if self.tasks > 1 else 0

    def call(self, name, arguments):
        """[(the name of a kernel, its grid, its block, its arguments)]"""
        join = [(f"{name}_join", *self._rows(self.tasks), arguments)] if self.tasks > 1 else []
        return [(name, self.grid, self.block, arguments), *join]

    def _text(self):
        """The text, in which # stands for the name."""
        every = [*self.reads.values(), *self.writes.values()]
        spans = [sum(abs(s) * n for s, n in zip(self.accesses[i].strides, self.accesses[i].shape)) for i in every]
        index, signed = ("unsigned", "int") if max([prod(self.group.shape), *spans]) <= MOST_SMALL else ("Int", "Int")
        names = {i: f"x{i}[{self._place(i)}]" for i in every}
        gathers = [self.lowered.gathers[one] for one in self.group.instructions if one in self.lowered.gathers]
        early = set(self.reads.values()) - {self.reads[one.base] for one in gathers}   # the reads that wait for no index
        body = Body(self, {**names, **{i: f"l{i}[u]" for i in early}}, ())
        for one in self.group.instructions:
            body.compute(one)
        for i, (join, x, _) in enumerate(self.results):
            given = body.operand(self.group.reductions[i][-1].inputs[0], x.dtype)
            body.lines.append(f"sums.sum{i} = {JOINS[join]}::join<{C_TYPES[x.dtype.name]}>(sums.sum{i}, {given});")
        body.store(self.writes)
        few = len(every) + len(body.lines) <= MOST_AHEAD
        ahead, statements = (AHEAD, body.lines) if few else (1, [CALLED.sub(r"called::\1(", line) for line in body.lines])
        places = [f"const {signed} r = e / {self.inner};", *self._indices(signed),
                  f"const {signed} j = e{f' % {self.inner}' * bool(self.outer)};"]
        loads = [f"l{i}[u] = {names[i]};" for i in sorted(early)]
        lines = [*(_pointer(C_TYPES[self.accesses[i].dtype.name], f"x{i}", i) for i in every),
                 *(f"{C_TYPES[self.accesses[i].dtype.name]} l{i}[{ahead}];" for i in sorted(early)),
                 *_function("read", f"int u, {index} e", _placed(places, loads)),
                 *_function("use", f"int u, {index} e" + ", #_sums& sums" * bool(self.results), _placed(places, statements))]
        if not self.results:   # a thread takes fewer elements if multiprocessors would be idle otherwise
            self.grid = grid(max(ceil(self.sums / ahead), min(self.sums, full(self.processors) * THREADS)))
            return _kernel("#", [*lines, f"each<{ahead}, {index}>({self.sums}, read, use);"])
        store = [*(_pointer(C_TYPES[x.dtype.name], f"y{i}", place) for i, (_, x, place) in enumerate(self.results)),
                 *_function("store", f"{index} k, const #_sums& sums", self._store())]
        text = self._sums()
        if self.tasks > 1:
            partials = _pointer("#_sums", "partials", self.accesses.index("partials"))
            use = _function("use", f"int, {index} e, #_sums& sums", ["sums.join(partials[e]);"])
            text += _kernel("#_join", [partials, *use, *store, f"reduce_rows<1, #_sums, {index}>({self.sums}, {self.tasks}, "
                                       f"[](int, {index}) {{}}, use, store);"])
            part = "partials[k * gridDim.y + blockIdx.y] = sums;"
            store = [partials, *_function("store", f"{index} k, const #_sums& sums", [part])]
        name, sizes = ("columns", (self.length, self.sums)) if self.kind == "columns" else ("rows", (self.sums, self.length))
        return text + _kernel("#", [*lines, *store, f"reduce_{name}<{ahead}, #_sums, {index}>({sizes[0]}, {sizes[1]}, read, use, "
                                                    "store);"])

    def _place(self, i):
        """Where an element of the group lies in access i."""
        strides = [("j", self.steps[i]), *((f"i{k}", own[i]) for k, (_, own, _) in enumerate(self.outer))]
        return " + ".join(f"{name} * {stride // self.accesses[i].dtype.itemsize}" for name, stride in strides if stride) or "0"

    def _sums(self):
        """The struct of the sums of a thread."""
        parts = [(f"sum{i}", C_TYPES[x.dtype.name], JOINS[join]) for i, (join, x, _) in enumerate(self.results)]
        first = ", ".join(f"{join}::first<{ctype}>()" for _, ctype, join in parts)
        joined = " ".join(f"{name} = {join}::join<{ctype}>({name}, x.{name});" for name, ctype, join in parts)
        return "\n    ".join(["struct #_sums {", *(f"{ctype} {name};" for name, ctype, _ in parts),
                              f"__device__ static #_sums first() {{ return {{{first}}}; }}",
                              f"__device__ void join(const #_sums& x) {{ {joined} }}"]) + "\n};\n"

    def _store(self):
        """The statements that store the results of row or column k."""
        for i, (join, x, _) in enumerate(self.results):
            count = self._count(join)
            yield f"y{i}[k] = sums.sum{i}" + f" / {C_TYPES[x.dtype.name]}({count})" * (count != 1) + ";"


def _pointer(ctype, name, place):
    return f"{ctype}* const {name} = ({ctype}*)a[{place}];"


def _function(name, parameters, statements):
    return [f"const auto {name} = [&]({parameters}) {{", *(f"    {one}" for one in statements), "};"]


def _placed(places, statements):
    """The statements, after the definitions of those indices that they use."""
    for line in reversed(places):
        if re.search(rf"\b{line.split()[2]}\b", " ".join(statements)):
            statements = [line, *statements]
    return statements


def _kernel(name, lines):
    return f'extern "C" __global__ void {name}(const Word* a)\n{{\n    ' + "\n    ".join(lines) + "\n}\n"
