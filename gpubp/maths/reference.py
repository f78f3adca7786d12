"""The equations read plainly, row by row, without plans and kernels: what check and parity hold a device against.

xp is NumPy, or an array module like maths.rounding's that reads the same lines otherwise.
"""


def seen(xp, cost, a, y):
    """What the cost's formulas see of the outputs: relative ones see how far each is from the true one."""
    return a - xp.sum(y * a, axis=-1, keepdims=True) if cost.relative else a


def costs(xp, cost, activation, z, a, y):
    """The cost of each row, a column, of outputs a = sigma(z)."""
    total = _total(xp, cost, activation, z, a, y)
    return cost.outer(xp, total) if cost.outer else total


def first_delta(xp, cost, activation, z, a, y):
    """BP1: delta of the last layer for each row's own cost."""
    if cost.meets_partner(activation):
        return a - y
    error = cost.prime(xp, seen(xp, cost, a, y), y)
    if cost.relative:
        error = error - y * xp.sum(error, axis=-1, keepdims=True)   # the true output moves all the differences
    if cost.outer:
        error = error * cost.outer_prime(xp, _total(xp, cost, activation, z, a, y))
    return times_prime(xp, activation, error, z, a)


def times_prime(xp, activation, error, z, a):
    """delta of what has arrived as dC/da: the second half of BP2."""
    if activation.rowwise:
        return a * (error - xp.sum(error * a, axis=-1, keepdims=True))
    return error * activation.prime(xp, z, a)


def _total(xp, cost, activation, z, a, y):
    """What the cost sums over the outputs."""
    if not cost.meets_partner(activation):
        return xp.sum(cost.value(xp, seen(xp, cost, a, y), y), axis=-1, keepdims=True)
    if activation.rowwise:
        shifted = z - xp.max(z, axis=-1, keepdims=True)
        z = shifted - xp.log(xp.sum(xp.exp(shifted), axis=-1, keepdims=True))
    return xp.sum(cost.value_at(xp, z, y), axis=-1, keepdims=True)
