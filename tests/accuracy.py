"""References of 50 digits for the formulas of activations and costs, and the largest error of a device against them.

An error is counted in ulp (units in the last place) of the exact result, wherever that is a normal number. A reference that is a
tuple is a sum of terms that may cancel: then it is counted in ulp of the largest term, or of the sum if that is larger.
"""

from math import inf

import numpy as np

try:
    from mpmath import cos, cosh, erfc, exp, expm1, log, log1p, mp, mpf, pi, sech, sin, sinh, sqrt, tanh
except ImportError:   # the README needs only the bounds
    mp = None

# The largest errors of sigma and of sigma', or of C and of dC/da, that were found on CPUs at 10,000 numbers or more: in float32 /
# in float64; † if the reference is a sum
ACTIVATION_BOUNDS = {
    "identity": ("0 / 0", "0 / 0"), "sigmoid": ("4 / 3", "4 / 3 †"), "tanh": ("2 / 2", "2 / 2 †"), "relu": ("0 / 0", "0 / 0"),
    "leaky_relu": ("1 / 1", "1 / 1"), "elu": ("3 / 2", "3 / 3"), "selu": ("3 / 4", "3 / 4"), "softplus": ("4 / 4", "5 / 5"),
    "softsign": ("2 / 2", "4 / 4"), "silu": ("5 / 4", "6 / 5 †"), "gelu": ("7 / 7", "7 / 6 †"),
    "gelu_tanh": ("170 / 1200", "180 / 850 †"), "mish": ("6 / 5", "7 / 6 †"), "hard_sigmoid": ("1 / 1", "1 / 1"),
    "hard_tanh": ("0 / 0", "0 / 0"), "gaussian": ("4 / 5", "16 / 5"), "sine": ("2 / 3", "2 / 3"),
}
COST_BOUNDS = {
    "quadratic": ("2 / 2", "1 / 1"), "binary_cross_entropy": ("4 / 2", "3 / 2"), "softmax_cross_entropy": ("4 / 3", "1 / 1"),
    "exponential": ("2 / 2", "1 / 1"), "hellinger": ("5 / 6", "4 / 4"), "kullback_leibler": ("3 / 3", "1 / 1"),
    "generalized_kullback_leibler": ("7 / 6", "2 / 2"), "itakura_saito": ("6 / 7", "2 / 2"), "hinge": ("1 / 1", "0 / 0"),
    "squared_hinge": ("2 / 2", "1 / 1"), "multiclass_hinge": ("1 / 1", "0 / 0"), "multiclass_squared_hinge": ("2 / 2", "1 / 1"),
    "absolute": ("1 / 1", "0 / 0"), "huber": ("2 / 2", "1 / 1"), "pinball": ("1 / 1", "0 / 0"), "log_cosh": ("4 / 5", "2 / 2"),
    "poisson": ("4 / 3 †", "2 / 2"), "gaussian_nll": ("45 / 40 †", "45 / 40 †"),
}
FLUSHED = 2048


SOFTMAX_BOUND = "5 + max(z) - z"


def sigmoid(z):
    return 1 / (1 + exp(-z))


def normal(z):
    return erfc(-z / sqrt(2)) / 2


def softplus(z):
    return log1p(exp(z)) if z < 0 else z + log1p(exp(-z))


def gelu_tanh_x(z):
    return sqrt(8 / pi) * (z + mpf("0.044715") * z**3)


def gated_prime(z, x, slope):
    """The terms of the derivative of z sigmoid(x)."""
    return sigmoid(x), z * sigmoid(x) * sigmoid(-x) * slope


def selu_constants():
    return mpf("1.6732632423543772848170429916717"), mpf("1.0507009873554804934193349852946")


ACTIVATION_REFERENCES = {   # sigma(z) and sigma'(z)
    "identity": (lambda z: z, lambda z: 1),
    "sigmoid": (sigmoid, lambda z: (sigmoid(z), -sigmoid(z)**2)),
    "tanh": (lambda z: tanh(z), lambda z: (1, -tanh(z)**2)),
    "relu": (lambda z: max(z, 0), lambda z: int(z > 0)),
    "leaky_relu": (lambda z: z if z > 0 else z / 100, lambda z: 1 if z > 0 else mpf(1) / 100),
    "elu": (lambda z: z if z > 0 else expm1(z), lambda z: 1 if z > 0 else exp(z)),
    "selu": (lambda z: selu_constants()[1] * (z if z > 0 else selu_constants()[0] * expm1(z)),
             lambda z: selu_constants()[1] * (1 if z > 0 else selu_constants()[0] * exp(z))),
    "softplus": (softplus, sigmoid),
    "softsign": (lambda z: z / (1 + abs(z)), lambda z: 1 / (1 + abs(z))**2),
    "silu": (lambda z: z * sigmoid(z), lambda z: gated_prime(z, z, 1)),
    "gelu": (lambda z: z * normal(z), lambda z: (normal(z), z * exp(-z**2 / 2) / sqrt(2 * pi))),
    "gelu_tanh": (lambda z: z * sigmoid(gelu_tanh_x(z)),
                  lambda z: gated_prime(z, gelu_tanh_x(z), sqrt(8 / pi) * (1 + 3 * mpf("0.044715") * z**2))),
    "mish": (lambda z: z * tanh(softplus(z)), lambda z: (tanh(softplus(z)), z * sigmoid(z) / cosh(softplus(z))**2)),
    "hard_sigmoid": (lambda z: min(max(z + 3, 0), 6) / 6, lambda z: mpf(-3 < z < 3) / 6),
    "hard_tanh": (lambda z: min(max(z, -1), 1), lambda z: int(-1 < z < 1)),
    "gaussian": (lambda z: exp(-z**2), lambda z: -2 * z * exp(-z**2)),
    "sine": (lambda z: sin(z), lambda z: cos(z)),
}


def divergence(a, y):
    return y * log(y / a) if y > 0 else mpf(0)


def normal_deviation(s):
    return exp(16 * tanh(s / 16))


COST_REFERENCES = {   # C and dC/da of one output; the exponential cost's function of their sum is apart
    "quadratic": (lambda a, y: (a - y)**2 / 2, lambda a, y: a - y),
    "binary_cross_entropy": (lambda a, y: -(y * log(a) if y > 0 else 0) - ((1 - y) * log1p(-a) if y < 1 else 0),
                             lambda a, y: (a - y) / (a * (1 - a))),
    "softmax_cross_entropy": (lambda a, y: -y * log(a) if y > 0 else 0, lambda a, y: -y / a),
    "exponential": (lambda a, y: (a - y)**2, lambda a, y: 2 * (a - y)),
    "hellinger": (lambda a, y: (sqrt(a) - sqrt(y))**2 / sqrt(2), lambda a, y: (1 - sqrt(y / a)) / sqrt(2)),
    "kullback_leibler": (divergence, lambda a, y: -y / a),
    "generalized_kullback_leibler": (lambda a, y: divergence(a, y) - y + a, lambda a, y: 1 - y / a),
    "itakura_saito": (lambda a, y: y / a - log(y / a) - 1, lambda a, y: (a - y) / a**2),
    "hinge": (lambda a, y: max(1 - y * a, 0), lambda a, y: -y if y * a < 1 else 0),
    "squared_hinge": (lambda a, y: max(1 - y * a, 0)**2, lambda a, y: -2 * y * max(1 - y * a, 0)),
    "multiclass_hinge": (lambda d, y: (1 - y) * max(d + 1, 0), lambda d, y: (1 - y) * int(d + 1 > 0)),
    "multiclass_squared_hinge": (lambda d, y: (1 - y) * max(d + 1, 0)**2, lambda d, y: 2 * (1 - y) * max(d + 1, 0)),
    "absolute": (lambda a, y: abs(a - y), lambda a, y: mp.sign(a - y)),
    "huber": (lambda a, y: (a - y)**2 / 2 if abs(a - y) <= 1 else abs(a - y) - mpf(1) / 2, lambda a, y: min(max(a - y, -1), 1)),
    "pinball": (lambda a, y: abs(a - y) / 2, lambda a, y: mp.sign(a - y) / 2),
    "log_cosh": (lambda a, y: log1p(2 * sinh((a - y) / 2)**2), lambda a, y: tanh(a - y)),
    "poisson": (lambda a, y: (a, -y * log(a) if y > 0 else 0), lambda a, y: 1 - y / a),
    "gaussian_nll": (lambda m, s, y: (((m - y) / normal_deviation(s))**2 / 2, 16 * tanh(s / 16)),   # C, dC/dm, dC/ds
                     lambda m, s, y: (m - y) / normal_deviation(s)**2,
                     lambda m, s, y: (sech(s / 16)**2, -((m - y) / normal_deviation(s) * sech(s / 16))**2)),
}


def cross_entropy_at(z, y):
    """The binary cross-entropy of a = sigmoid(z); with soft targets its terms may cancel."""
    terms = abs(z) / 2, (mpf(1) / 2 - y) * z, log1p(exp(-abs(z)))
    return sum(terms) if y in (0, 1) else terms


def numbers(dtype):
    """z of both signs: spaced evenly, by powers, at random, at kinks, and where results underflow."""
    random = np.random.default_rng(5)
    sizes = np.concatenate([np.geomspace(1e-7, 1e4, 100), np.linspace(0.0, 20.0, 81), random.uniform(0.0, 20.0, 100),
                            random.uniform(0.0, 90.0, 60), np.linspace(86.0, 104.0, 37), [1.0, 3.0],
                            *([np.linspace(700.0, 750.0, 51), random.uniform(20.0, 750.0, 60)] if dtype == "float64" else [])])
    return np.unique(np.concatenate([-sizes, sizes]).astype(dtype))


def pairs(cost, dtype):
    """(a, y) in the domain of a cost: of all sizes, and near each other."""
    random, eps = np.random.default_rng(6), float(np.finfo(dtype).eps)
    positive = np.concatenate([np.geomspace(1e-30, 1e6, 100), random.uniform(0.0, 3.0, 100)])
    if cost.outputs == "(0, 1)":
        a = np.concatenate([np.geomspace(1e-30, 0.5, 100), 1.0 - np.geomspace(eps, 0.5, 100), random.uniform(0.0, 1.0, 100)])
    else:
        a = positive if cost.outputs == "(0, inf)" else np.concatenate([-positive, positive])
    if cost.codes[0] < 0 or cost.relative:
        y = random.choice(cost.codes, a.size)
    elif cost.targets == "[0, 1]":
        y = np.where(random.random(a.size) < 0.5, random.integers(0, 2, a.size), random.random(a.size))
    else:
        near = a * (1.0 + np.geomspace(4 * eps, 0.9, a.size) * random.choice([-1.0, 1.0], a.size))
        ends = np.zeros(40) if "[0" in cost.targets else a[:40]
        a, y = np.concatenate([a, a, a[:40]]), np.concatenate([random.permutation(a), near, ends])
    return a.astype(dtype), y.astype(dtype)


def worst_ulps(found, reference, *operands, flushes=False):
    """The largest error of an array of results; where the exact one is 0, it must be met.

    flushes: the device replaces subnormal intermediate values by 0, which may reach results of FLUSHED times the smallest normal
    number.
    """
    facts, worst = np.finfo(found.dtype), 0.0
    smallest = facts.smallest_normal * (FLUSHED if flushes else 1)
    with mp.workdps(50):
        for value, *numbers in zip(*(array.astype("float64").tolist() for array in (found, *operands))):
            terms = reference(*map(mpf, numbers))
            terms = terms if isinstance(terms, tuple) else (terms,)
            exact, scale = sum(terms), max(map(abs, (*terms, sum(terms))))
            if scale == 0:
                error = 0.0 if value == 0.0 else inf
            elif not smallest <= scale <= facts.max:
                continue
            else:
                ulp = mp.ldexp(1, mp.frexp(scale)[1] - 1 - facts.nmant)
                error = float(abs(mpf(value) - exact) / ulp) if np.isfinite(value) else inf
            worst = max(worst, error)
    return worst
