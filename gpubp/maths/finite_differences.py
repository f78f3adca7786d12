"""Numerical derivatives, to check exact ones."""


def derivative(f, h):
    """df/dh at 0 from four points, with an error of order h^4."""
    return (8.0 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12.0 * h)
