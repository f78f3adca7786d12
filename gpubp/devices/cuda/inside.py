"""Inside: many training steps of a small network in one launch of kernels/inside.cu, also of several networks side by side."""

import numpy as np

from ...streams import warn
from ..inside_source import MAX_PARTS
from .cublas import first_line

MAX_ROWS = 128                             # of a mini-batch
SHARED_MEMORY, CLUSTER_LAUNCH = 97, 120    # cudaDevAttrMaxSharedMemoryPerBlockOptin and cudaDevAttrClusterLaunch
STATIC_BYTES = 128                         # of shared memory that a kernel has besides, at most
CLOCK = 1.9e9                              # cycles per second, of an H200
ALL = np.iinfo(np.int32).max               # more steps than a launch makes
MOST = 12                                  # the place of `most` in struct Network


class Inside:
    """Programs that keep a network in shared memory from the first of their steps to the last, on the device of a CudaOps.

    failed: why none is made any more in this process, see give_up.
    """

    failed = ""

    def __init__(self, ops):
        self.ops = ops

    def why_not(self, form):
        """None if there is a program for a Form, else the reason."""
        if self.failed:
            return self.failed
        if self.ops.precision != "exact":
            return f"a program of many steps has precision 'exact', not {self.ops.precision!r}"
        if any(activation.rowwise for activation in form.activations[:-1]):
            return "a program of many steps has softmax only in the last layer"
        if form.rows > MAX_ROWS:
            return f"a program of many steps takes mini-batches of at most {MAX_ROWS} rows"
        if not self.clusters(form):
            return (f"a program of many steps needs {form.shared_bytes(self._largest(form)) / 1024:.0f} KiB of shared memory, of "
                    f"which a block has {self._limit() / 1024:.0f}")
        return None

    def seconds(self, form):
        """The predicted seconds of a step of one network: an estimate, not measured on hardware."""
        return form.cycles(self.cluster(form)) / CLOCK

    def program(self, form, x, y, sample_weights, x_order, y_order, order, clock, table, log, norms, vectors, seed):
        """Bind the training steps of one network; the InsideProgram makes n of them with times=n.

        A step gathers mini-batch clock[0], of form.rows rows or those that are left of an epoch, from x by the row numbers in
        x_order, from y by y_order, and from sample_weights (or None) by `order`. It changes vectors[0], the parameters, and
        vectors[1:], the optimizer's state, with the scalars table[clock[0]]. It writes the cost to log[clock[0]] and advances
        clock[0]. seed is that of dropout. An epoch's last step, which must be the last of its launch, sets norms to (0 if the
        parameters are finite, else 1, |gradient|, |delta_1|, ...). Sums have a fixed order: the bits depend neither on how steps
        are divided into launches nor on the networks of a launch.
        """
        ops, dtype, (inputs, *_, outputs), batches = self.ops, np.dtype(form.dtype), form.sizes, -(-order.size // form.rows)
        ops._check((order.size,), np.int64, x_order=x_order, y_order=y_order, order=order)
        ops._check((2,), np.int64, clock=clock)
        scalars, vector = len(form.chain.scalars(1, 0.1, 1)), vectors[0]
        state = dict(zip(form.chain.state, vectors[1:], strict=True))
        for shape, arrays in (((len(x), inputs), {"x": x}), ((len(y), outputs), {"y": y}), ((batches, scalars), {"table": table}),
                              ((batches,), {"log": log}), ((2 + form.depth,), {"norms": norms}),
                              (vector.shape, {"vector": vector, **state}),
                              *([] if sample_weights is None else [(sample_weights.shape, {"sample_weights": sample_weights})])):
            ops._check(shape, dtype, **arrays)
        return InsideProgram(self, form, [x, y, sample_weights, x_order, y_order, order, clock, table, log, norms], vectors, seed)

    def group(self, programs):
        """The InsideGroup of programs with one group_key."""
        return InsideGroup(programs)

    def give_up(self, error):
        """Make no more programs in this process, because of the error of one; warns, and returns the reason."""
        Inside.failed = f"a program of many steps has failed with {type(error).__name__} ({first_line(error)})"
        warn(f"expected CUDA to take a program of many training steps, got {type(error).__name__} ({first_line(error)}): each "
             "step is a graph, which is slower for small networks", RuntimeWarning, stacklevel=7)
        return Inside.failed

    def cluster(self, form, networks=1):
        """The blocks that train each of n networks: as many as are predicted to be fastest, if all blocks run at once."""
        fitting = self.clusters(form)
        at_once = [size for size in fitting if size * networks <= self.ops.processors] or fitting[-1:]
        return min(at_once, key=form.cycles)

    def clusters(self, form):
        """The numbers of blocks that can train a network, the largest first."""
        sizes = (size for size in (8, 4, 2, 1) if size <= self._largest(form))
        return [size for size in sizes if form.shared_bytes(size) <= self._limit()]

    def _largest(self, form):
        return min(form.parts[0], MAX_PARTS if self._attribute(CLUSTER_LAUNCH) else 1)

    def _limit(self):
        return self._attribute(SHARED_MEMORY) - STATIC_BYTES

    def _attribute(self, number):
        return self.ops.xp.cuda.runtime.deviceGetAttribute(number, self.ops.device.index)


class _Launches:
    """Launches for networks of one form, each described by words: addresses, the seed, sizes, and the most steps of a launch."""

    def __init__(self, inside, form, words):
        self.ops, self.words, self.limits = inside.ops, np.array(words, np.uint64).view(np.int64), None
        cluster = inside.cluster(form, len(words))
        self.grid, self.block, self.shared = (len(words) * cluster,), form.threads(cluster), form.shared_bytes(cluster)
        self.kernel = self.ops._kernel(form.text(cluster), "inside")
        with self.ops.device:   # to which the kernel's attribute belongs
            self.kernel.max_dynamic_shared_size_bytes = self.shared

    def __call__(self, counts):
        most = max(counts)
        limits = [ALL if count == most else count for count in counts]
        if limits != self.limits:
            self.words[:, MOST], self.limits = limits, limits
            self.table = self.ops.asarray(self.words)
        with self.ops.device:
            self.kernel(self.grid, self.block, (self.table, np.int32(most)), shared_mem=self.shared)


class InsideProgram:
    """The training steps of one network. Programs with the same group_key can be launched together, see InsideGroup."""

    def __init__(self, inside, form, arrays, vectors, seed):
        self.inside, self.form, self.arrays = inside, form, (arrays, vectors)   # which the kernel reaches by their addresses
        self.group_key = inside.ops.name, form.text(1)
        addresses = [0 if array is None else array.data.ptr for array in arrays]
        self.words = [*addresses, seed, arrays[5].size, ALL, *(vector.data.ptr for vector in vectors)]
        self._launches = _Launches(inside, form, [self.words])
        self._launches([0])   # no steps: what CUDA refuses raises here, where training can still go another way

    def __call__(self, times=1):
        self._launches([times])


class InsideGroup(_Launches):
    """Programs with one group_key, whose networks train side by side: group([n, m, ...]) makes the next n steps of the first one,
    m of the second, ... in one launch. The bits are those of each program by itself."""

    def __init__(self, programs):
        first, *others = self.programs = list(programs)
        if any(other.group_key != first.group_key for other in others):
            raise ValueError("expected programs with one group_key, got several: make a group for each")
        super().__init__(first.inside, first.form, [program.words for program in self.programs])
