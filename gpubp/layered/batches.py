"""Mini-batches: gathered from data on the device, or from larger data on the host, which pass through two slots on the device.

Every step runs the same program on the same arrays; an index array on the device selects the rows of the mini-batch.
"""

import numpy as np

SLOT_BYTES = 1 << 25          # approximate bytes of a slot: enough for copies at full speed
MAX_MEMORY_FRACTION = 0.25    # largest share of the device's free memory that both slots take
CONVERT_ELEMENTS = 1 << 18    # elements that the host converts together, within its cache


def open_batches(ops, dtype, x, y, sample_weights, count, size, own=False):
    """Mini-batches of `size` rows, in epochs of `count` samples; own: with copies of data on the device.

    Call begin(order, batch) when an epoch begins or resumes, and prefetch(batch) before launching at most launchable(batch)
    mini-batches. The call that gather(clock, outs) binds is the first of their program.
    """
    if ops.is_on_device(x) and ops.is_on_device(y):
        return DeviceBatches(ops, dtype, x, y, sample_weights, count, size, own)
    return StreamedBatches(ops, dtype, x, y, sample_weights, count, size)


class DeviceBatches:
    """All data are on the device; x has the dtype in which the precision stores factors of products."""

    def __init__(self, ops, dtype, x, y, sample_weights, count, size, own=False):
        self.ops, self.sample_weights, self.count, self.size = ops, sample_weights, count, size
        self.shares = {}   # by the rows of a mini-batch: the sample weights divided by that number
        self.order = ops.zeros(count, np.int64)
        storage = ops.storage_dtype(dtype)
        if ops.is_on_device(x) and storage != dtype:
            x, wide = ops.zeros(x.shape, storage), x
            ops.cast(wide, x)()
        elif own:
            x = x.copy()
        self.sources = [x, y.copy() if own else y]

    def begin(self, order, batch):
        self.order[...] = self.ops.asarray(order, np.int64)

    def refresh(self, x, y, sample_weights):
        """Fill the copies again, from arrays of the same shapes."""
        kept, targets = self.sources
        self.ops.cast(x, kept)()
        targets[...] = y
        for rows, share in self.shares.items():
            share[...] = sample_weights / rows
        self.sample_weights = sample_weights

    def prefetch(self, batch):
        """Prepare for the launch of mini-batch `batch`."""

    def launchable(self, batch):
        return self.count

    def end(self):
        """No more mini-batches follow."""

    def gather(self, clock, outs, rows, first=0):
        """Bind the gathering of a mini-batch, from its row `first` on: x, y and perhaps sample_weights / rows."""
        return self._gather(clock, self.sources, outs, rows, first)

    def indexed(self):
        """(array, row numbers in the order of the epoch) of x, of y and of the sample weights, which may be None. The arrays stay
        the same in all epochs, and in the next fit if they are copies."""
        return [*((source, self.order) for source in self.sources),
                (None if self.sample_weights is None else self._share(1), self.order)]

    def _share(self, rows):
        if rows not in self.shares:
            self.shares[rows] = self.sample_weights / rows
        return self.shares[rows]

    def _gather(self, clock, sources, outs, rows, first=0):
        if len(outs) > len(sources):
            sources = [*sources, self._share(rows)]
        return self.ops.gather(sources, self.order[first:], clock, self.size, outs)


class StreamedBatches(DeviceBatches):
    """Arrays on the host pass through two slots on the device, which works on one while the other is filled.

    Sample i of an epoch comes to row i modulo the rows of both slots. A slot begins when all work on the previous one has been
    launched: the host gathers the rows of the next slot during that work, and they are copied during the work on this slot.
    """

    def __init__(self, ops, dtype, x, y, sample_weights, count, size):
        super().__init__(ops, dtype, x, y, sample_weights, count, size)
        row = dtype.itemsize * sum(source.shape[1] for source in self.sources if not ops.is_on_device(source))
        most, total = ops.streaming.free_bytes(), -(-count // size)
        if 2 * row * size > most:
            raise ValueError(f"expected two mini-batches to fit in the {most / 2**20:.3g} MiB available on {ops.name}, got "
                             f"batch_size {size} of {row * size / 2**20:.3g} MiB each: use a smaller batch_size")
        fitting = int(min(SLOT_BYTES, MAX_MEMORY_FRACTION / 2 * most)) // (row * size)
        self.batches = max(1, min(fitting, -(-total // 2)))   # of a slot
        self.rows = self.batches * size
        self.places = ops.asarray(np.arange(count) % (2 * self.rows), np.int64)
        self.buffers = [None if ops.is_on_device(source) else _StreamBuffer(ops, source, self.rows, dtype, kind)
                        for source, kind in zip(self.sources, (ops.storage_dtype(dtype), dtype))]
        self.streamed = [buffer for buffer in self.buffers if buffer]

    def begin(self, order, batch):
        super().begin(order, batch)
        self.index, self.loaded, self.current = order, [None, None], None

    def prefetch(self, batch):
        slot = batch // self.batches
        if slot != self.current:
            self._load(slot)
            for buffer in self.streamed:
                buffer.enter(slot % 2)
            self._load(slot + 1)
            self.current = slot

    def launchable(self, batch):
        return self.batches - batch % self.batches

    def end(self):
        for buffer in self.streamed:
            buffer.end()

    def indexed(self):
        buffers = [*self.buffers, None]
        return [(buffer.window, self.places) if buffer else pair for pair, buffer in zip(super().indexed(), buffers)]

    def _load(self, slot):
        """Gather and send the rows of a slot, unless that has been done."""
        index = self.index[slot * self.rows:(slot + 1) * self.rows]
        if len(index) and self.loaded[slot % 2] != slot:
            for buffer in self.streamed:
                buffer.load(slot % 2, index)
            self.loaded[slot % 2] = slot

    def gather(self, clock, outs, rows, first=0):
        windows, filled = zip(*((buffer.window, out) for buffer, out in zip(self.buffers, outs) if buffer))
        calls = [self.ops.gather(list(windows), self.places[first:], clock, self.size, list(filled))]
        resident = [source for source, buffer in zip(self.sources, self.buffers) if buffer is None]
        others = [out for out, buffer in zip(outs, [*self.buffers, None]) if buffer is None]
        if others:
            calls.append(self._gather(clock, resident, others, rows, first))
        return lambda: [call() for call in calls]


class _StreamBuffer:
    """A matrix on the host, its two slots in one window of device memory, and pinned memory for each."""

    def __init__(self, ops, source, rows, dtype, storage):
        width = source.shape[1]
        self.ops, self.source, self.transfers = ops, source, [None, None]
        self.staged = [ops.streaming.pinned_empty((rows, width), dtype) for _ in range(2)]
        self.window = ops.zeros((2 * rows, width), storage)
        self.slots, self.casts = [self.window[:rows], self.window[rows:]], []
        if storage != dtype:   # the device rounds, as it rounds resident data
            wide = ops.zeros((rows, width), dtype)
            self.casts = [ops.cast(wide, slot) for slot in self.slots]
            self.slots = [wide, wide]

    def load(self, place, index):
        if self.transfers[place] is not None:
            self.transfers[place].finish()
        staged = self.staged[place][:len(index)]
        _take(self.source, index, staged)
        self.transfers[place] = self.ops.streaming.copy_async(staged, self.slots[place][:len(index)])

    def enter(self, place):
        """Make the device wait for a slot's rows, which it works on next."""
        self.transfers[place].arrive()
        if self.casts:
            self.casts[place]()

    def end(self):
        """Wait for transfers under way, so that their memory may be freed."""
        for transfer in self.transfers:
            if transfer is not None:
                transfer.finish()


def _take(source, index, out):
    """Copy rows of a matrix on the host to out, converted to its dtype."""
    whole = isinstance(source, np.ndarray) and source.flags.c_contiguous and source.flags.aligned   # else `take` would copy it
    if whole and source.dtype == out.dtype:
        source.take(index, 0, out, "clip")   # mode "raise" would buffer out
        return
    rows = max(1, CONVERT_ELEMENTS // out.shape[1])
    for start in range(0, len(index), rows):
        block = slice(start, start + rows)
        out[block] = source.take(index[block], 0) if whole else source[index[block]]
