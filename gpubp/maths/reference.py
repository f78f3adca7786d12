"""BP1, the second half of BP2 and the costs, row by row, without plans and kernels: the reference for checks of a device.

xp is NumPy, or an array module such as rounding.Rounding.
"""


def seen(xp, cost, a, y):
    """(outputs, targets) as the cost's formulas take them: a relative cost takes the differences from the true output, and a
    cost with a deviation (means, the other outputs, targets)."""
    if cost.deviation:
        return *xp.split(a, 2, axis=-1), xp.split(y, 2, axis=-1)[0]
    return a - xp.sum(y * a, axis=-1, keepdims=True) if cost.relative else a, y


def costs(xp, cost, activation, z, a, y):
    """The cost of each row of outputs a = sigma(z), as a column."""
    total = _total(xp, cost, activation, z, a, y)
    return cost.outer(xp, total) if cost.outer else total


def first_delta(xp, cost, activation, z, a, y):
    """BP1: delta of the last layer, for the cost of each row."""
    if cost.meets_partner(activation):
        return a - y
    da = cost.prime(xp, *seen(xp, cost, a, y))
    if cost.deviation:
        da = xp.concatenate(da, axis=-1)
    if cost.relative:
        da = da - y * xp.sum(da, axis=-1, keepdims=True)   # all differences depend on the true output
    if cost.outer:
        da = da * cost.outer_prime(xp, _total(xp, cost, activation, z, a, y))
    return times_prime(xp, activation, da, z, a)


def times_prime(xp, activation, da, z, a):
    """The second half of BP2: delta from da, which is dC/da."""
    if activation.rowwise:
        return a * (da - xp.sum(da * a, axis=-1, keepdims=True))
    return da * activation.prime(xp, z, a)


def _total(xp, cost, activation, z, a, y):
    """The sum of the cost over the outputs, before its outer function."""
    if not cost.meets_partner(activation):
        return xp.sum(cost.value(xp, *seen(xp, cost, a, y)), axis=-1, keepdims=True)
    if activation.rowwise:
        shifted = z - xp.max(z, axis=-1, keepdims=True)
        z = shifted - xp.log(xp.sum(xp.exp(shifted), axis=-1, keepdims=True))
    return xp.sum(cost.value_at(xp, z, y), axis=-1, keepdims=True)
