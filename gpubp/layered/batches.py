"""What mini-batches are gathered from: data on the device, or data too big for it, which pass through it in two slots.

A step's program reads the same arrays at every step; an array of places says where the rows of its mini-batch lie in them.
"""

import numpy as np

SLOT = 1 << 25    # bytes of a slot, about: enough for copies at full speed
SHARE = 0.25      # of the device's room that both slots take at most
BLOCK = 1 << 18   # elements that the host converts together, within its cache


def open_batches(ops, dtype, x, y, weights, count, size, own=False):
    """DeviceBatches or StreamedBatches, which gather the mini-batches of `size` rows in epochs of `count` samples.

    x, y and weights (or None) are those of input_checks; own: DeviceBatches holds copies. Call begin(order, batch) when an epoch
    begins or resumes, and before(batch) before launching at most ahead(batch) mini-batches. The call that gather(clock, outs)
    binds is the first of their program.
    """
    if ops.is_on_device(x) and ops.is_on_device(y):
        return DeviceBatches(ops, dtype, x, y, weights, count, size, own)
    return StreamedBatches(ops, dtype, x, y, weights, count, size)


class DeviceBatches:
    """All of the data are on the device, x as the precision stores factors of products."""

    def __init__(self, ops, dtype, x, y, weights, count, size, own=False):
        self.ops, self.weights, self.count, self.size = ops, weights, count, size
        self.shares = {}   # the weights as parts of a mini-batch's average, by its rows
        self.order = ops.zeros(count, np.int64)
        storage = ops.storage_dtype(dtype)
        if ops.is_on_device(x) and storage != dtype:
            x, wide = ops.zeros(x.shape, storage), x
            ops.cast(wide, x)()
        elif own:
            x = x.copy()
        self.sources = [x, y.copy() if own else y]

    def begin(self, order, batch):
        """An epoch begins, or goes on with mini-batch `batch`; order says which sample comes when."""
        self.order[...] = self.ops.asarray(order, np.int64)

    def refresh(self, x, y, weights):
        """Fill what it has copied anew."""
        kept, targets = self.sources
        self.ops.cast(x, kept)()
        targets[...] = y
        for rows, share in self.shares.items():
            share[...] = weights / rows
        self.weights = weights

    def before(self, batch):
        """Mini-batch `batch` is launched next."""

    def ahead(self, batch):
        """How many mini-batches from `batch` on may be launched before the next is announced."""
        return self.count

    def end(self):
        """No more mini-batches follow."""

    def gather(self, clock, outs, rows):
        """Bind the gathering of a mini-batch: its rows of x and y, and with a third out its factors weight / rows."""
        return self._gather(clock, self.sources, outs, rows)

    def gather_block(self, clock, outs, rows, first):
        """The same for those of its rows, from `first` on, that the outs have room for."""
        return self._gather(clock, self.sources, outs, rows, first)

    def _gather(self, clock, sources, outs, rows, first=0):
        if len(outs) > len(sources):
            if rows not in self.shares:
                self.shares[rows] = self.weights / rows
            sources = [*sources, self.shares[rows]]
        return self.ops.gather(sources, self.order[first:], clock, self.size, outs)


class StreamedBatches(DeviceBatches):
    """What of x and y is on the host passes through two slots of the device, which works on one while the other is filled.

    Sample i of an epoch comes to place i modulo the rows of both slots. When a slot's turn has come, all work on the slot
    before has been launched: the host gathers the rows of the next one while the device still does that work, and they are
    copied when it is done, beside the work on the present slot.
    """

    def __init__(self, ops, dtype, x, y, weights, count, size):
        super().__init__(ops, dtype, x, y, weights, count, size)
        there = [not ops.is_on_device(source) for source in self.sources]
        self.batches = self._batches(dtype.itemsize * sum(s.shape[1] for s, away in zip(self.sources, there) if away))
        self.rows = self.batches * size
        self.places = ops.asarray(np.arange(count) % (2 * self.rows), np.int64)
        kinds = ops.storage_dtype(dtype), dtype
        self.columns = [_StreamBuffer(ops, source, self.rows, dtype, kind) if away else None
                        for source, kind, away in zip(self.sources, kinds, there)]

    def _batches(self, row):
        """Mini-batches of a slot, whose rows take so many bytes."""
        most, total = self.ops.free_bytes(), -(-self.count // self.size)
        if 2 * row * self.size > most:
            raise ValueError(f"expected mini-batches of which two fit on {self.ops.name}, where there is room for "
                             f"{most / 2**20:.3g} MiB, got batch_size {self.size} of {row * self.size / 2**20:.3g} MiB each: "
                             "give a smaller one")
        return max(1, min(int(min(SLOT, SHARE / 2 * most)) // (row * self.size), -(-total // 2)))

    def begin(self, order, batch):
        super().begin(order, batch)
        self.index, self.held, self.present = order, [None, None], None

    def before(self, batch):
        slot = batch // self.batches
        if slot != self.present:
            self._load(slot)
            for column in self._moving():
                column.enter(slot % 2)
            self._load(slot + 1)
            self.present = slot

    def ahead(self, batch):
        return self.batches - batch % self.batches

    def end(self):
        for column in self._moving():
            column.end()

    def _load(self, slot):
        """Gather the rows of a slot and send them, where that has not been done."""
        index = self.index[slot * self.rows:(slot + 1) * self.rows]
        if len(index) and self.held[slot % 2] != slot:
            for column in self._moving():
                column.load(slot % 2, index)
            self.held[slot % 2] = slot

    def _moving(self):
        return [column for column in self.columns if column]

    def gather(self, clock, outs, rows):
        moving = [(column.window, out) for column, out in zip(self.columns, outs) if column]
        windows, filled = zip(*moving)
        stream = self.ops.gather(list(windows), self.places, clock, self.size, list(filled))
        staying = [s for s, column in zip(self.sources, self.columns) if column is None]
        others = [out for out, column in zip(outs, [*self.columns, None]) if column is None]
        if not others:
            return stream
        rest = self._gather(clock, staying, others, rows)

        def call():
            stream()
            rest()
        return call


class _StreamBuffer:
    """One matrix on the host, its two slots in a window of the device, and the staging memory of each."""

    def __init__(self, ops, source, rows, dtype, storage):
        width = source.shape[1]
        self.ops, self.source, self.transfers = ops, source, [None, None]
        self.staged = [ops.pinned_empty((rows, width), dtype) for _ in range(2)]
        self.window = ops.zeros((2 * rows, width), storage)
        slots = [self.window[:rows], self.window[rows:]]
        if storage == dtype:
            self.landings, self.entries = slots, [None, None]
        else:   # rounded where the device rounds resident data
            landing = ops.zeros((rows, width), dtype)
            self.landings, self.entries = [landing, landing], [ops.cast(landing, slot) for slot in slots]

    def load(self, place, index):
        """Gather rows for the slot at a place, and send them."""
        if self.transfers[place] is not None:
            self.transfers[place].finish()
        staged = self.staged[place][:len(index)]
        _take(self.source, index, staged)
        self.transfers[place] = self.ops.copy_async(staged, self.landings[place][:len(index)])

    def end(self):
        """Wait for what is under way, so that its memory is free."""
        for transfer in self.transfers:
            if transfer is not None:
                transfer.finish()

    def enter(self, place):
        """The device works on the slot at a place next."""
        self.transfers[place].arrive()
        if self.entries[place] is not None:
            self.entries[place]()


def _take(source, index, out):
    """out := rows of a matrix on the host, converted."""
    whole = isinstance(source, np.ndarray) and source.flags.c_contiguous and source.flags.aligned   # else `take` would copy it
    if whole and source.dtype == out.dtype:
        source.take(index, 0, out, "clip")   # mode "raise" would buffer out
        return
    rows = max(1, BLOCK // out.shape[1])
    for start in range(0, len(index), rows):
        block = slice(start, start + rows)
        out[block] = source.take(index[block], 0) if whole else source[index[block]]
