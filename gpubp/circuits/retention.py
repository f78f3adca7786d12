"""Which of a gate's value and inputs are remembered for the way back."""

from .tape import Like, Traced

EVERY = range(1 << 16)


def forget(wire):
    """Keep only those of the gate's value and inputs that its formulas read."""
    _, parents, values, _ = wire.record
    places = [getattr(formula, "reads", EVERY) for formula, _ in parents]
    for i in range(len(values)):
        if not any(i + 1 in read for read in places):
            values[i] = None
    if not any(0 in read for read in places):
        wire.bare = Traced(Like(wire.value.shape, wire.value.dtype), wire.circuit, wire.record)
        wire.bare.number, wire.record = wire.number, None   # who keeps the wire keeps its value alone
