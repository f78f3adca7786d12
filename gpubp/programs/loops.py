"""A group of elementwise instructions as the text of a C++ function that loops over its elements."""

import re
from math import prod
from typing import Any

import numpy as np

from .lowering import WHOLE, Access
from .program import Value
from .spelling import C_TYPES, SPELLED, c_cast, literal, operands, ufunc_name

PART = 60             # statements of each of the loops over a block, functions, that a group longer than WHOLE becomes
TASK = 1 << 15        # elements of a task of a thread, about
MOST_TASKS = 256
EDGE = 64             # tasks of one row begin at multiples of it
SHORT = 128           # elements of a row, up to which rows are joined
MOST_REPEATED = 4     # accesses that repeat in each row, up to which they are
BLOCK = 512           # elements of a block, at most; fewer if its scratch memory would not fit the second cache
SCRATCH_BYTES, ON_STACK = 1 << 18, 1 << 15
JOINS = {"sum": "Sum", "mean": "Sum", "max": "Max", "min": "Min", "any": "Any", "all": "All"}


class GroupText:
    """The text of one group, and what its function takes.

    accesses lists the Accesses whose addresses the function takes, in order, and perhaps "partials" and "scratch", memory for
    the results and for the values of tasks. The loop runs over `rows` rows of `inner` elements. stored: the Values that others
    read in memory; functions: the names of functions by their texts, of all groups.
    """

    def __init__(self, group, lowered, stored, functions):
        self.group, self.lowered, self.functions = group, lowered, functions
        self.accesses: list = []
        self.reads = {access: self._takes(access) for access in lowered.reads(group)}
        self.stored = [x for one in group.instructions for x in one.made() if x in stored or lowered.accesses[x].root is not x]
        self.writes = {x: self._takes(lowered.accesses[x]) for x in self.stored}
        self.kind, self.axes = group.reductions[0][:2] if group.reductions else ("none", ())   # type: ignore[var-annotated]
        self._iterate()
        self.tasks = self._task_count()
        self.results = [(join, one.results, self._takes(lowered.accesses[one.results])) for _, _, join, one in group.reductions]
        self.width = self.kept * self.inner if self.kind == "columns" else 1   # of the results of a task
        self.partial_bytes = 8 * self._partial_count() * len(self.results)
        if self.partial_bytes:
            self.accesses.append("partials")
        self.scratch_bytes = 0   # of a task
        self.text = self._text()
        if self.scratch_bytes > ON_STACK:
            self.text = self.text.replace("SCRATCH", str(len(self.accesses)))
            self.accesses.append("scratch")
        # bytes that the group needs beside the values
        self.memory = {"partials": self.partial_bytes,
                       "scratch": self.tasks * self.scratch_bytes if self.scratch_bytes > ON_STACK else 0}
        self.in_place = len(group.instructions) <= WHOLE   # whether all reads at a place come before the writes there

    def _takes(self, access):
        self.accesses.append(access)
        return len(self.accesses) - 1

    def _iterate(self):
        """Merge the axes that lie alike in all accesses: outer axes, and the inner one along which the loop runs."""
        strides = [_broadcast(access, self.group.shape) for access in self.accesses]
        merged: list[tuple[int, list[int], bool]] = []   # (size, strides of each access, whether it is reduced)
        for i, n in enumerate(self.group.shape):
            own, reduced = [one[i] for one in strides], i in self.axes
            if n == 1:
                continue
            if merged and merged[-1][2] == reduced and all(before == n * after for before, after in zip(merged[-1][1], own)):
                merged[-1] = merged[-1][0] * n, own, reduced
            else:
                merged.append((n, own, reduced))
        *self.outer, (self.inner, self.steps, _) = merged or [(1, [0] * len(strides), False)]
        self.rows = prod(n for n, *_ in self.outer)
        self.kept = prod(n for n, _, reduced in self.outer if not reduced)
        # rows that belong to one result
        self.unit = prod(n for n, _, reduced in self.outer if reduced) if self.kind == "rows" else 1
        self.edge, self.repeated = EDGE, {}   # type: ignore[var-annotated]
        if self.kind in ("none", "all") and self.outer and self.inner <= SHORT and not self.lowered.on_gpu:
            self._join_rows()

    def _join_rows(self):
        """Make short rows one long row, if each access goes on in the next row or repeats there: ends of rows are slow.

        repeated: the step of each access that repeats, whose elements are copied for a block of rows.
        """
        def goes_on(i):
            sizes = [n for n, *_ in self.outer[1:]] + [self.inner]
            return all(own[i] == self.steps[i] * prod(sizes[k:]) for k, (_, own, _) in enumerate(self.outer))
        repeated = {i: step for i, step in enumerate(self.steps) if not goes_on(i)}
        if len(self.group.instructions) <= WHOLE and len(repeated) <= MOST_REPEATED and not any(
                own[i] for _, own, _ in self.outer for i in repeated):
            self.edge, self.repeated = self.inner, repeated
            self.outer, self.inner, self.rows, self.kept = [], self.rows * self.inner, 1, 1

    def _task_count(self):
        units = self.inner // self.edge if self.rows == 1 else self.rows // self.unit
        if self.kind == "columns":   # each task has results of its own, which take time to join
            units = min(units, self.rows // (16 * self.kept))
        return max(1, min(MOST_TASKS, self.rows * self.inner // TASK, units))

    def _partial_count(self):
        """How many results of tasks each reduction has, which are joined later."""
        return self.tasks * self.width if self.kind == "all" or (self.kind == "columns" and self.tasks > 1) else 0

    def call(self, name, arguments):
        """The statements that run the group, with the addresses of its accesses."""
        size, unit = (self.inner, self.edge) if self.rows == 1 else (self.rows, self.unit)
        lines = [f"const Word a[] = {{{', '.join(arguments)}}};"]
        if self.tasks == 1:
            lines.append(f"{name}(a, 0, 0, {size});")
        else:
            start = f"{-(-size // unit)} * (task) / {self.tasks} * {unit}"
            lines.append(f"in_parallel((Team*)p[0], {self.tasks}, [&](Int task) {{ {name}(a, task, {start}, "
                         f"task + 1 == {self.tasks} ? {size} : {start.replace('(task)', '(task + 1)')}); }});")
        for i, (join, x, place) in enumerate(self.results):
            ctype, count = C_TYPES[x.dtype.name], self._count(join)
            given = f"({ctype}*){self._partials(i)}" if self.partial_bytes else f"({ctype}*)a[{place}]"
            rows, width = (self.tasks, self.width) if self.partial_bytes else (1, self.width)
            if self.partial_bytes or (self.kind == "columns" and count != 1):
                lines.append(f"join_rows<{JOINS[join]}>({given}, ({ctype}*)a[{place}], {rows}, {width}, {count});")
        return "    { " + "\n      ".join(lines) + " }"

    def _partials(self, i):
        """The address of the results of all tasks, of the i-th reduction."""
        return f"(a[{self.accesses.index('partials')}] + {8 * i * self.tasks * self.width})"

    def _count(self, join):
        """What a sum is divided by."""
        return prod(self.group.shape[i] for i in self.axes) if join == "mean" else 1

    def _text(self):
        """The function without its name. It takes the addresses, its task, and where its rows, or elements of one row, are."""
        lines, names = [], {}
        only = self.rows == 1
        blocks = len(self.group.instructions) > WHOLE or self.kind in ("all", "rows") or self.repeated
        for i in (*self.reads.values(), *self.writes.values()):
            lines.append(f"{_pointer(self.accesses[i], i in self.writes.values())} x{i} = {_cast(self.accesses[i])}a[{i}];")
        for i, (join, x, place) in enumerate(self.results):
            ctype, first = C_TYPES[x.dtype.name], f"{JOINS[join]}::first<{C_TYPES[x.dtype.name]}>()"
            own = f" + task * {self.width}" * (self.kind == "columns")
            lines.append(f"{ctype}* const y{i} = ({ctype}*){self._partials(i) + own if self.partial_bytes else f'a[{place}]'};")
            lines.append(f"fill(y{i}, {first}, {self.width});" if self.kind == "columns" else f"{ctype} sum{i} = {first};")
        if only:
            lines.append("const Int begin = first, end = last;")
        else:
            lines += ["for (Int r = first; r < last; r++) {", f"const Int begin = 0, end = {self.inner};", *self._indices()]
        for i in (*self.reads.values(), *self.writes.values()):
            item = self.accesses[i].dtype.itemsize
            terms = "".join(f" + i{k} * {own[i] // item}" for k, (_, own, _) in enumerate(self.outer) if own[i])
            lines.append(f"{_pointer(self.accesses[i], i in self.writes.values())} p{i} = x{i}{terms};")
            names[i] = f"b{i}[i]" if i in self.repeated else _indexed(f"p{i}", self.steps[i] // item)
        bodies = self._bodies(names)
        block = max(1, min(BLOCK, self.inner, max(16, SCRATCH_BYTES // (8 * max(1, len(self.scratch))))))
        block -= block % self.edge if self.repeated else 0
        for i, step in self.repeated.items():
            lines += [f"{C_TYPES[self.accesses[i].dtype.name]} b{i}[{block}];",
                      f"for (Int k = 0; k < {block}; k += {self.edge}) for (Int j = 0; j < {self.edge}; j++)",
                      f"    b{i}[k + j] = {_indexed(f'p{i}', step // self.accesses[i].dtype.itemsize)};"]
        for x, i in self.scratch.items():
            ctype, self.scratch_bytes = C_TYPES[x.dtype.name], 8 * block * len(self.scratch)
            lines.append(f"{ctype} s{i}[{block}];" if self.scratch_bytes <= ON_STACK else
                         f"{ctype}* const s{i} = ({ctype}*)(a[SCRATCH] + task * {self.scratch_bytes} + {8 * block * i});")
        lines.append(f"for (Int at = begin; at < end; at += {block}) {{ const Int n = end - at < {block} ? end - at : {block};"
                     if blocks else "const Int at = begin, n = end - begin;")
        for body in bodies:
            loop = "\n    ".join(["LOOP for (Int i = 0; i < n; i++) { const Int j = at + i;", *body, "}"])
            lines.append(self._apart(loop) if len(bodies) > 1 and body is not bodies[-1] else loop)
        if self.kind in ("all", "rows"):
            for i, (join, x, _) in enumerate(self.results):
                kind = f"{JOINS[join]}, {C_TYPES[x.dtype.name]}"
                lines.append(f"sum{i} = {JOINS[join]}::join(sum{i}, joined<{kind}>(s{self.scratch[x]}, n));")
        lines.append("}" * bool(blocks))
        for i, (join, x, _) in enumerate(self.results if self.kind == "rows" else ()):
            ctype, count = C_TYPES[x.dtype.name], self._count(join)
            divided = f" / {ctype}({count})" * (count != 1)
            lines.append(f"if ((r + 1) % {self.unit} == 0) {{ y{i}[r / {self.unit}] = sum{i}{divided}; "
                         f"sum{i} = {JOINS[join]}::first<{ctype}>(); }}")
        lines.append("}" * (not only))
        lines += [f"y{i}[task] = sum{i};" for i in range(len(self.results)) if self.kind == "all"]
        return "(const Word* a, Int task, Int first, Int last)\n{\n    " + "\n    ".join(filter(None, lines)) + "\n}\n"

    def _apart(self, loop):
        """The call of a function that runs a loop; it takes the addresses of arrays in the order in which the loop names them."""
        names = list(dict.fromkeys(re.findall(r"\b[ps]\d+\b", loop)))
        dtypes = {**{f"p{i}": self.accesses[i].dtype for i in (*self.reads.values(), *self.writes.values())},
                  **{f"s{i}": x.dtype for x, i in self.scratch.items()}}
        renamed = re.sub(r"\b[ps]\d+\b", lambda found: f"q{names.index(found[0])}", loop)
        pointers = "".join(f"    {C_TYPES[dtypes[name].name]}* const q{i} = ({C_TYPES[dtypes[name].name]}*)q[{i}];\n"
                           for i, name in enumerate(names))
        text = f"(const Word* q, Int at, Int n)\n{{\n{pointers}    {renamed}\n}}\n"
        called = self.functions.setdefault(text, f"loop_{len(self.functions)}")
        return f"{{ const Word q[] = {{{', '.join(f'(Word){name}' for name in names)}}}; {called}(q, at, n); }}"

    def _indices(self, ctype="Int"):
        """The outer indices of a row."""
        rest = self.rows
        for k, (n, *_) in enumerate(self.outer):
            rest //= n
            yield f"const {ctype} i{k} = r{f' / {rest}' * (rest > 1)}{f' % {n}' * (k > 0)};"

    def _bodies(self, names):
        """The statements of each loop; values that a later loop needs, and those to join, go through scratch memory.

        names: the C++ of each access, by its number.
        """
        instructions, size = self.group.instructions, PART if len(self.group.instructions) > WHOLE else WHOLE
        parts = [instructions[i:i + size] for i in range(0, len(instructions), size)] or [[]]
        part_of = {x: number for number, part in enumerate(parts) for one in part for x in one.made()}
        self.scratch: dict[Any, int] = {}   # the number of the scratch memory of a Value
        used = [(number, x) for number, part in enumerate(parts) for one in part for x in operands(one)]
        used += [(len(parts) - 1, one.inputs[0]) for *_, one in self.group.reductions]
        for number, x in used:
            if type(x) is Value and part_of.get(x, number) != number:
                self.scratch.setdefault(x, len(self.scratch))
        later = set(self.scratch)
        if self.kind in ("all", "rows"):
            self.scratch.update({x: len(self.scratch) + i for i, (_, x, _) in enumerate(self.results)})
        bodies = []
        for number, part in enumerate(parts):
            body = Body(self, names, later)
            for one in part:
                body.compute(one)
            for i, (*_, join, one) in enumerate(self.group.reductions if number == len(parts) - 1 else ()):
                given, made = body.operand(one.inputs[0], one.results.dtype), one.results
                place = f"y{i}[{self._kept_place()}]"
                body.lines.append(f"{place} = {JOINS[join]}::join<{C_TYPES[made.dtype.name]}>({place}, {given});"
                                  if self.kind == "columns" else f"s{self.scratch[made]}[i] = {given};")
            # last, since a result may lie in the memory of an input
            body.store(x for x in self.writes if part_of[x] == number)
            bodies.append(body.lines)
        return bodies

    def _kept_place(self):
        """Where an element of the loop goes in the results of columns."""
        rest, terms = self.kept, []
        for k, (n, _, reduced) in enumerate(self.outer):
            if not reduced:
                rest //= n
                terms.append(f"i{k} * {rest * self.inner}")
        return " + ".join([*terms, "j"])


class Body:
    """The statements of one loop; local: the name and the dtype of what it has computed or loaded."""

    def __init__(self, text, names, later):
        self.text, self.names, self.later = text, names, later
        self.lines: list = []
        self.local: dict = {}

    def compute(self, one):
        dtypes, compute = self.text.lowered.loops[one]
        given = [self.operand(x, dtype) for x, dtype in zip(operands(one), dtypes)]
        if gather := self.text.lowered.gathers.get(one):
            place = " + ".join(f"place_of({k}, {n}) * {stride // compute.itemsize}"
                               for k, n, stride in zip(given, gather.sizes, gather.strides))
            text = f"(&{self.names[self.text.reads[gather.base]]})[{place}]"
        else:
            text = SPELLED[compute.kind][ufunc_name(one)].replace("T(", f"{c_cast(compute)}(").format(*given)
        self._name(one.results, one.results.dtype, text)
        if one.results in self.later:
            self.lines.append(f"s{self.text.scratch[one.results]}[i] = {self.local[one.results][0]};")

    def store(self, values):
        self.lines += [f"{self.names[self.text.writes[x]]} = {self.local[x][0]};" for x in values]

    def operand(self, x, dtype):
        """An operand, converted to a dtype, as C++."""
        key: Any = x if type(x) is Value else id(x)
        if key not in self.local:
            access = self.text.lowered.access(x)
            if x is key and x in self.later:
                self.local[key] = f"s{self.text.scratch[x]}[i]", x.dtype
            elif access is None:
                return literal(x.flat[0] if isinstance(x, np.ndarray) else x, dtype)
            else:
                self._name(key, access.dtype, self.names[self.text.reads[access]])
        name, given = self.local[key]
        return name if given == dtype else f"({name} != 0)" if dtype.kind == "b" else f"{c_cast(dtype)}({name})"

    def _name(self, key, dtype, text):
        self.lines.append(f"const {C_TYPES[dtype.name]} t{len(self.local)} = {text};")
        self.local[key] = f"t{len(self.local)}", dtype


def _pointer(access: Access, written):
    return f"{'' if written else 'const '}{C_TYPES[access.dtype.name]}* const"


def _cast(access):
    return f"({C_TYPES[access.dtype.name]}*)"


def _broadcast(access, shape):
    """The strides of an access in a group's shape."""
    return (0,) * (len(shape) - len(access.shape)) + tuple(0 if n == 1 else s for n, s in zip(access.shape, access.strides))


def _indexed(name, step):
    return f"{name}[0]" if step == 0 else f"{name}[j]" if step == 1 else f"{name}[j * {step}]"
