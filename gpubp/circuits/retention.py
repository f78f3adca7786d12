"""Choose which of a primitive's value and inputs are kept for the backward pass."""

from .tape import Like, Traced

EVERY = range(1 << 16)


def forget(wire):
    """Drop each input, and the value, that no VJP of the primitive declares to read."""
    _, parents, values, _ = wire.record
    places = [getattr(formula, "reads", EVERY) for formula, _ in parents]
    for i in range(len(values)):
        if not any(i + 1 in read for read in places):
            values[i] = None
    if not any(0 in read for read in places):
        wire.bare = Traced(Like(wire.value.shape, wire.value.dtype), wire.circuit, wire.record)
        wire.bare.number, wire.record = wire.number, None   # a reference to the wire keeps only its value alive
