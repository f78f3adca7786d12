"""Costs: what a sample's outputs a cost against its targets y, and dC/da, written once for every device.

A sample's cost is outer(sum over the outputs j of value(a_j, y_j)); outer is the identity except for the exponential cost.
Costs are summed over outputs; the network averages them over a batch.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import log, sqrt
from typing import Any

from .activations import ACTIVATIONS
from .formula import checked
from .registry import REAL, Interval, Table, number


@dataclass(frozen=True)
class Cost:
    """A cost function.

    value(xp, a, y) and prime(xp, a, y) = dC/da are scalar formulas of the array module xp. outputs and targets are the
    intervals that a and y must lie in. The partner is the output activation with which delta = dC/dz is exactly a - y:
    BP1 then takes that, and value_at(xp, u, y) gives the value from u = z (from u = log a where the partner is softmax),
    so that nothing overflows. outer(xp, s) and outer_prime(xp, s) act on a sample's sum. A relative cost is a function of
    a_j - a_true, where y is 1 at the true output and 0 elsewhere; its formulas take that difference in place of a, and are
    0 at the true output.
    codes are the targets that integer labels turn into, for the other outputs and for the labelled one, moved together by
    smoothing; output names the activation taken where the user names none; kink(xp, a, y) is zero where the first or second
    derivative jumps, so that gradient checks keep away; classifies tells costs of labels from costs of measurements.
    """

    name: str
    value: Callable[[Any, Any, Any], Any]
    prime: Callable[[Any, Any, Any], Any]
    outputs: str = REAL
    targets: str = REAL
    partner: str | None = None
    value_at: Callable[[Any, Any, Any], Any] | None = None
    outer: Callable[[Any, Any], Any] | None = None
    outer_prime: Callable[[Any, Any], Any] | None = None
    relative: bool = False
    codes: tuple[float, float] = (0.0, 1.0)
    smoothing: float = 0.0
    output: str | None = None
    kink: Callable[[Any, Any, Any], Any] | None = None
    classifies: bool = False

    def __post_init__(self):
        Interval(self.outputs), Interval(self.targets)
        if self.partner is not None and self.partner not in ACTIVATIONS:
            raise ValueError(f"cost {self.name!r}: expected the partner to be an activation's name, got {self.partner!r}")
        for a_and_y in (self.value, self.prime, *filter(None, [self.value_at])):
            checked(f"cost {self.name!r}", a_and_y, "a", "y")
        for of_a_sum in filter(None, [self.outer, self.outer_prime]):
            checked(f"cost {self.name!r}", of_a_sum, "s")

    def meets_partner(self, activation):
        """Whether BP1 is exactly a - y on outputs of this activation."""
        return self.partner is not None and activation == ACTIVATIONS[self.partner]


def _y_log(xp, y, x):
    return xp.where(y > 0.0, y * xp.log(x), 0.0 * y)   # 0 log 0 = 0


def _y_over(xp, y, a):
    return xp.where(y > 0.0, y / a, 0.0 * y)


def binary_cross_entropy(smoothing=0.0):
    """-[y log a + (1 - y) log(1 - a)], the book's cross-entropy."""
    smoothing = number("label smoothing", smoothing, "[0, 1)")
    return Cost(
        _named("binary_cross_entropy", smoothing),
        lambda xp, a, y: -(_y_log(xp, y, a) + _y_log(xp, 1.0 - y, 1.0 - a)),
        lambda xp, a, y: (a - y) / (a * (1.0 - a)), outputs="(0, 1)", targets="[0, 1]",
        partner="sigmoid", value_at=lambda xp, z, y: xp.maximum(z, 0.0) - z * y + xp.log1p(xp.exp(-xp.absolute(z))),
        smoothing=smoothing, output="sigmoid", classifies=True)


def softmax_cross_entropy(smoothing=0.0):
    """-y log a, with y a label, a one-hot row or a distribution over the outputs."""
    smoothing = number("label smoothing", smoothing, "[0, 1)")
    return Cost(
        _named("softmax_cross_entropy", smoothing), lambda xp, a, y: -_y_log(xp, y, a),
        lambda xp, a, y: -_y_over(xp, y, a), outputs="(0, 1)", targets="[0, 1]",
        partner="softmax", value_at=lambda xp, log_a, y: xp.where(y > 0.0, -y * log_a, 0.0 * y),
        smoothing=smoothing, output="softmax", classifies=True)


def exponential(tau=1.0):
    """tau exp(sum of (a - y)^2 / tau): a function of the sum, hence the outer function."""
    tau = number("tau of the exponential cost", tau, "(0, inf)")
    return Cost(f"exponential({tau!r})", lambda xp, a, y: xp.square(a - y), lambda xp, a, y: 2.0 * (a - y),
                outer=lambda xp, s: tau * xp.exp(s / tau), outer_prime=lambda xp, s: xp.exp(s / tau))


def multiclass_hinge(margin=1.0):
    """max(0, margin + a_j - a_true) over the outputs that are not the true one: the linear SVM's cost."""
    margin = number("the margin", margin, "[0, inf)")
    return Cost(f"multiclass_hinge({margin!r})", lambda xp, d, y: (1.0 - y) * xp.maximum(d + margin, 0.0),
                lambda xp, d, y: (1.0 - y) * xp.where(d + margin > 0.0, 1.0, 0.0), targets="[0, 1]",
                relative=True, output="identity",
                kink=lambda xp, d, y: d + margin, classifies=True)


def multiclass_squared_hinge(margin=1.0):
    """max(0, margin + a_j - a_true)^2 over the outputs that are not the true one."""
    margin = number("the margin", margin, "[0, inf)")
    return Cost(f"multiclass_squared_hinge({margin!r})",
                lambda xp, d, y: (1.0 - y) * xp.square(xp.maximum(d + margin, 0.0)),
                lambda xp, d, y: 2.0 * (1.0 - y) * xp.maximum(d + margin, 0.0), targets="[0, 1]",
                relative=True, output="identity", kink=lambda xp, d, y: d + margin, classifies=True)


def huber(delta=1.0):
    """(a - y)^2 / 2 up to |a - y| = delta, from there on a straight line."""
    delta = number("delta of huber", delta, "(0, inf)")
    return Cost(f"huber({delta!r})",
                lambda xp, a, y: xp.where(xp.absolute(a - y) <= delta, 0.5 * xp.square(a - y),
                                          delta * (xp.absolute(a - y) - 0.5 * delta)),
                lambda xp, a, y: xp.minimum(xp.maximum(a - y, -delta), delta),
                kink=lambda xp, a, y: xp.absolute(a - y) - delta)


def _named(name, smoothing):
    return f"{name}({smoothing!r})" if smoothing else name


quadratic = Cost("quadratic", lambda xp, a, y: 0.5 * xp.square(a - y), lambda xp, a, y: a - y,
                 partner="identity", value_at=lambda xp, z, y: 0.5 * xp.square(z - y))
hellinger = Cost("hellinger", lambda xp, a, y: sqrt(0.5) * xp.square(xp.sqrt(a) - xp.sqrt(y)),
                 lambda xp, a, y: sqrt(0.5) * (1.0 - xp.sqrt(_y_over(xp, y, a))), outputs="(0, inf)", targets="[0, inf)")
kullback_leibler = Cost(
    "kullback_leibler", lambda xp, a, y: _y_log(xp, y, _y_over(xp, y, a)), lambda xp, a, y: -_y_over(xp, y, a),
    outputs="(0, inf)", targets="[0, inf)", partner="softmax",
    value_at=lambda xp, log_a, y: xp.where(y > 0.0, y * (xp.log(y) - log_a), 0.0 * y))
generalized_kullback_leibler = Cost(
    "generalized_kullback_leibler", lambda xp, a, y: _y_log(xp, y, _y_over(xp, y, a)) - y + a,
    lambda xp, a, y: 1.0 - _y_over(xp, y, a), outputs="(0, inf)", targets="[0, inf)")
itakura_saito = Cost("itakura_saito", lambda xp, a, y: y / a - xp.log(y / a) - 1.0,
                     lambda xp, a, y: (a - y) / a / a, outputs="(0, inf)", targets="(0, inf)")
hinge = Cost("hinge", lambda xp, a, y: xp.maximum(1.0 - y * a, 0.0), lambda xp, a, y: xp.where(y * a < 1.0, -y, 0.0 * y),
             targets="[-1, 1]", codes=(-1.0, 1.0), output="identity",
             kink=lambda xp, a, y: 1.0 - y * a, classifies=True)
squared_hinge = Cost("squared_hinge", lambda xp, a, y: xp.square(xp.maximum(1.0 - y * a, 0.0)),
                     lambda xp, a, y: -2.0 * y * xp.maximum(1.0 - y * a, 0.0),
                     targets="[-1, 1]", codes=(-1.0, 1.0), output="identity",
                     kink=lambda xp, a, y: 1.0 - y * a, classifies=True)
absolute = Cost("absolute", lambda xp, a, y: xp.absolute(a - y), lambda xp, a, y: xp.sign(a - y),
                kink=lambda xp, a, y: a - y)
log_cosh = Cost("log_cosh", lambda xp, a, y: xp.absolute(a - y) + xp.log1p(xp.exp(-2.0 * xp.absolute(a - y))) - log(2.0),
                lambda xp, a, y: xp.tanh(a - y))
poisson = Cost("poisson", lambda xp, a, y: a - _y_log(xp, y, a), lambda xp, a, y: 1.0 - _y_over(xp, y, a),
               outputs="(0, inf)", targets="[0, inf)")

COSTS = Table("cost", Cost, {
    "quadratic": quadratic, "binary_cross_entropy": binary_cross_entropy, "softmax_cross_entropy": softmax_cross_entropy,
    "exponential": exponential, "hellinger": hellinger, "kullback_leibler": kullback_leibler,
    "generalized_kullback_leibler": generalized_kullback_leibler, "itakura_saito": itakura_saito, "hinge": hinge,
    "squared_hinge": squared_hinge, "multiclass_hinge": multiclass_hinge,
    "multiclass_squared_hinge": multiclass_squared_hinge, "absolute": absolute, "huber": huber, "log_cosh": log_cosh,
    "poisson": poisson}, words=["cross_entropy"])   # which resolve_cost reads


def resolve_cost(cost, activation, output=None, neurons=None):
    """The cost and the output activation that the words of a user mean, both as table rows.

    "cross-entropy" is the binary sum on sigmoid outputs and the categorical one on softmax outputs; where output is not
    given it takes sigmoid if `activation` is sigmoid or there is a single output neuron, else softmax. Hinge costs take
    identity. Raises ValueError where the activation's range leaves the cost's domain.

    >>> [row.name for row in resolve_cost("cross-entropy", "relu")]
    ['softmax_cross_entropy', 'softmax']
    """
    activation = ACTIVATIONS.find(activation)
    output = None if output is None else ACTIVATIONS.find(output)
    if isinstance(cost, str) and re.match(r"\s*cross[-_ ]entropy", cost, re.IGNORECASE):
        if output is None:
            output = ACTIVATIONS["sigmoid" if activation == ACTIVATIONS["sigmoid"] or neurons == 1 else "softmax"]
        cost = ("softmax_" if output.rowwise else "binary_") + cost.strip()
    cost = COSTS.find(cost)
    if output is None:
        output = ACTIVATIONS.find(cost.output) if cost.output else activation
    if Interval(output.range) not in Interval(cost.outputs):
        fitting = [name for name in ACTIVATIONS if Interval(ACTIVATIONS.find(name).range) in Interval(cost.outputs)]
        raise ValueError(f"cost {cost.name} needs outputs in {cost.outputs}, but {output.name} gives {output.range}: choose "
                         f"output= from {', '.join(fitting)} (an activation of your own declares its range=)")
    return cost, output
