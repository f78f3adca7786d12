"""Costs: how far the outputs a of a sample are from its targets y, and dC/da, written once for every device.

The cost of a sample is outer(sum over the outputs j of value(a_j, y_j)); outer is the identity except in the exponential cost.
Networks average the costs of a batch.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from typing import Any

from .activations import ACTIVATIONS
from .formula import check_formula
from .registry import Table
from .validation import REAL, Interval, numbers, shown

_SMOOTHING = "smoothing: Szegedy et al., Rethinking the Inception architecture for computer vision, CVPR 2016"
_LIST = "List of costs, stats.stackexchange.com/questions/154879, 2015"
_WESTON = "Weston and Watkins, Support vector machines for multi-class pattern recognition, ESANN 1999"


@dataclass(frozen=True)
class Cost:
    """A cost function. Networks accept your own wherever they accept a name, on every device.

    Parameters
    ----------
    name : str
    value, prime : function (xp, a, y)
        The cost of one output, and its derivative dC/da, from operators, numbers and functions of the array module xp.
    outputs, targets : str, default "(-inf, inf)"
        The intervals that a and y must lie in.
    partner : str, optional
        The output activation with which delta = dC/dz is exactly a - y. Then BP1 computes a - y, and nothing overflows.
    value_at : function (xp, u, y), needed with a partner
        The value from u = z; from u = log(a) if the partner is softmax.
    outer, outer_prime : function (xp, s), optional
        A function of the sum s over a sample's outputs, and its derivative.
    relative : bool, default False
        The cost depends on a_j - a_true, where y is 1 at the true output and 0 elsewhere. The formulas take this difference in
        place of a, and are 0 at the true output.
    codes : (float, float), default (0, 1)
        The targets that an integer label stands for: of the other outputs, and of the labelled one.
    smoothing : float, default 0
        How far label smoothing moves both codes together.
    output : str, optional
        The default output activation.
    deviation : function (xp, s), optional
        Each target has two outputs: its mean m, and s, of which this is the standard deviation. The means come first, then in the
        same order the s. All functions of (xp, a, y) are then of (xp, m, s, y), and prime gives the pair dC/dm, dC/ds.
    kink : function (xp, a, y), optional
        Zero where the first or second derivative jumps; gradient checks stay away from these points.
    classifies : bool, default False
        Whether the targets are classes, and not measurements.
    formula, source : str, default ""
        The cost of a sample in Python's notation and its publication, for documentation.

    Raises
    ------
    ValueError, TypeError
        An interval, the partner or a formula is not as described.

    >>> import gpubp
    >>> quartic = gpubp.Cost("quartic", lambda xp, a, y: (a - y) ** 4, lambda xp, a, y: 4.0 * (a - y) ** 3)
    >>> gpubp.Network([2, 3, 1], cost=quartic, seed=1).cost_function.name
    'quartic'
    """

    name: str
    value: Callable[..., Any]
    prime: Callable[..., Any]
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
    deviation: Callable[[Any, Any], Any] | None = None
    kink: Callable[..., Any] | None = None
    classifies: bool = False
    formula: str = ""
    source: str = ""

    def __post_init__(self):
        Interval(self.outputs), Interval(self.targets)
        if self.partner is not None and self.partner not in ACTIVATIONS:
            raise ValueError(f"cost {shown(self.name)}: expected an activation's name as partner, got {shown(self.partner)}")
        if self.partner is not None and self.value_at is None:
            raise ValueError(f"cost {shown(self.name)}: expected value_at with the partner {self.partner!r}, got None: "
                             "add value_at")
        if self.deviation is not None and (self.partner or self.outer or self.relative or self.classifies):
            raise ValueError(f"cost {shown(self.name)}: expected a deviation or one of partner, outer, relative and classifies, "
                             "got both: leave one out")
        check_formula(f"cost {shown(self.name)}", self.prime, *self.parameters, results=self.per_target)
        for formula in (self.value, *filter(None, [self.value_at, self.kink])):
            check_formula(f"cost {shown(self.name)}", formula, *self.parameters)
        for of_s in filter(None, [self.outer, self.outer_prime, self.deviation]):
            check_formula(f"cost {shown(self.name)}", of_s, "s")

    @property
    def per_target(self):
        """The number of outputs that a target has."""
        return 1 if self.deviation is None else 2

    @property
    def parameters(self):
        """The parameters of value and prime after xp."""
        return ("a", "y") if self.deviation is None else ("m", "s", "y")

    def admits(self, activation):
        """Whether the outputs may have this activation."""
        return Interval(activation.range) in Interval(self.outputs) and not (self.deviation and activation.rowwise)

    def meets_partner(self, activation):
        """Whether BP1 is exactly a - y on outputs of this activation."""
        return self.partner is not None and activation == ACTIVATIONS[self.partner]


_y_times = lambda xp, y, log: xp.where(y > 0.0, y * log, 0.0 * y)   # 0 log 0 = 0
_y_over = lambda xp, y, a: xp.where(y > 0.0, y / a, 0.0 * y)
_root_difference = lambda xp, a, y: xp.where(y > 0.0, (a - y) / (xp.sqrt(a) + xp.sqrt(y)), xp.sqrt(a))   # sqrt(a) - sqrt(y)
_excess = lambda xp, a, y: xp.where(y > 0.0, (a - y) / a, 1.0)   # 1 - y / a, with all digits where a is near y


def _y_log_ratio(xp, y, a):
    """y log(y / a), with all digits where y is near a."""
    near = xp.absolute(y - a) < 0.5 * a
    return _y_times(xp, y, xp.where(near, xp.log1p(xp.where(near, (y - a) / a, 0.0 * a)), xp.log(_y_over(xp, y, a))))


def _ratio_less_log(xp, x, y):
    """x / y - 1 - log(x / y), with all digits where x is near y: there the logarithm is a series in r."""
    r = (x - y) / (x + y)
    series = 0.0
    for n in range(16, -1, -1):
        series = series * (r * r) + 1.0 / (2 * n + 3)
    near = (x - y) / y * r - 2.0 * r * r * r * series
    return xp.where(xp.absolute(r) < 1.0 / 3.0, near, (x - y) / y - xp.log(xp.minimum(x / y, 1e30)))   # not inf - inf


def _log_cosh(xp, x):
    """log(cosh(x)) = log1p(2 sinh(x / 2)^2); beyond 20 it is x - log(2), to which sinh need not grow."""
    size = xp.absolute(x)
    near = xp.minimum(size, 20.0)
    return (size - near) + xp.log1p(2.0 * xp.square(xp.sinh(0.5 * near)))


@numbers(smoothing="[0, 1)")
def binary_cross_entropy(smoothing=0.0):
    """The book's cross-entropy, a Cost for independent classes; smoothing is label smoothing.

    >>> import numpy as np
    >>> print(np.round(binary_cross_entropy().value(np, 0.5, 1.0), 6))   # log 2
    0.693147
    """
    return Cost(
        "binary_cross_entropy" + f"({smoothing!r})" * (smoothing > 0), smoothing=smoothing, outputs="(0, 1)", targets="[0, 1]",
        value=lambda xp, a, y: -(_y_times(xp, y, xp.log(a)) + _y_times(xp, 1.0 - y, xp.log1p(-a))),
        prime=lambda xp, a, y: (a - y) / (a * (1.0 - a)), partner="sigmoid", output="sigmoid", classifies=True,
        value_at=lambda xp, z, y: 0.5 * xp.absolute(z) + (0.5 - y) * z + xp.log1p(xp.exp(-xp.absolute(z))),
        formula="-sum(y * log(a) + (1 - y) * log(1 - a))", source=f"Nielsen, 2015, chapter 3; {_SMOOTHING}")


@numbers(smoothing="[0, 1)")
def softmax_cross_entropy(smoothing=0.0):
    """The cross-entropy Cost for exclusive classes; y is a label, one-hot or a distribution. smoothing is label smoothing.

    >>> import numpy as np
    >>> print(np.round(softmax_cross_entropy().value(np, 0.5, 1.0), 6))   # log 2
    0.693147
    """
    return Cost(
        "softmax_cross_entropy" + f"({smoothing!r})" * (smoothing > 0), smoothing=smoothing, outputs="(0, 1)", targets="[0, 1]",
        value=lambda xp, a, y: -_y_times(xp, y, xp.log(a)), prime=lambda xp, a, y: -_y_over(xp, y, a), partner="softmax",
        output="softmax", value_at=lambda xp, log_a, y: xp.where(y > 0.0, -y * log_a, 0.0 * y), classifies=True,
        formula="-sum(y * log(a))", source=f"Nielsen, 2015, chapter 3, log-likelihood; {_SMOOTHING}")


@numbers(tau="(0, inf)")
def exponential(tau=1.0):
    """A Cost that grows exponentially with the squared distance of the outputs from the targets.

    >>> import numpy as np
    >>> print(exponential(0.5).outer(np, 0.0))   # of the sum of squares
    0.5
    """
    return Cost(
        f"exponential({tau!r})", lambda xp, a, y: xp.square(a - y), lambda xp, a, y: 2.0 * (a - y),
        outer=lambda xp, s: tau * xp.exp(s / tau), outer_prime=lambda xp, s: xp.exp(s / tau),
        formula="tau * exp(sum((a - y)**2) / tau)", source=_LIST)


@numbers(margin="[0, inf)")
def multiclass_hinge(margin=1.0):
    """The Cost of a multiclass support vector machine, summed over all outputs except the true one.

    >>> import numpy as np
    >>> print(multiclass_hinge(0.5).value(np, 1.0, 0.0))   # of the difference a - a_true
    1.5
    """
    return Cost(f"multiclass_hinge({margin!r})", lambda xp, d, y: (1.0 - y) * xp.maximum(d + margin, 0.0),
                lambda xp, d, y: (1.0 - y) * xp.where(d + margin > 0.0, 1.0, 0.0), targets="[0, 1]", relative=True,
                output="identity", kink=lambda xp, d, y: d + margin, classifies=True,
                formula="sum((1 - y) * max(0, margin + a - sum(y * a)))", source=_WESTON)


@numbers(margin="[0, inf)")
def multiclass_squared_hinge(margin=1.0):
    """The multiclass hinge Cost with each term squared.

    >>> import numpy as np
    >>> print(multiclass_squared_hinge(0.5).value(np, 1.0, 0.0))   # of the difference a - a_true
    2.25
    """
    return Cost(
        f"multiclass_squared_hinge({margin!r})", lambda xp, d, y: (1.0 - y) * xp.square(xp.maximum(d + margin, 0.0)),
        lambda xp, d, y: 2.0 * (1.0 - y) * xp.maximum(d + margin, 0.0), targets="[0, 1]",
        relative=True, output="identity", kink=lambda xp, d, y: d + margin, classifies=True,
        formula="sum((1 - y) * max(0, margin + a - sum(y * a))**2)", source=f"{_WESTON}, squared as in Tang, 2013 (one-vs-rest)")


@numbers(delta="(0, inf)")
def huber(delta=1.0):
    """Huber's Cost: quadratic up to a distance of delta, linear beyond.

    >>> import numpy as np
    >>> print(huber(0.5).value(np, 2.0, 0.0))
    0.875
    """
    return Cost(
        f"huber({delta!r})", lambda xp, a, y: xp.where(xp.absolute(a - y) <= delta, 0.5 * xp.square(a - y),
                                                       delta * (xp.absolute(a - y) - 0.5 * delta)),
        lambda xp, a, y: xp.minimum(xp.maximum(a - y, -delta), delta), kink=lambda xp, a, y: xp.absolute(a - y) - delta,
        formula="sum(where(abs(a - y) <= delta, (a - y)**2 / 2, delta * (abs(a - y) - delta / 2)))",
        source="Huber, Robust estimation of a location parameter, 1964")


@numbers(quantile="(0, 1)")
def pinball(quantile=0.5):
    """The Cost of quantile regression: outputs learn this quantile of the targets.

    Networks for several quantiles, each with a cost of its own, train together by gpubp.fit_all.

    >>> import numpy as np
    >>> print(pinball(0.9).value(np, 0.0, 2.0), pinball(0.9).value(np, 2.0, 0.0).round(6))   # too low, too high
    1.8 0.2
    """
    return Cost(
        f"pinball({quantile!r})", lambda xp, a, y: xp.where(a > y, (1.0 - quantile) * (a - y), quantile * (y - a)),
        lambda xp, a, y: xp.where(a > y, 1.0 - quantile, quantile * xp.sign(a - y)), kink=lambda xp, a, y: a - y,
        formula="sum(where(a > y, (1 - quantile) * (a - y), quantile * (y - a)))",
        source="Koenker and Bassett, Regression quantiles, 1978")


def _log_deviation(xp, s):
    """Nearly s, and at most 16 in size, so that neither the deviation nor its reciprocal overflows."""
    return 16.0 * xp.tanh(0.0625 * s)


def _gaussian_nll_prime(xp, m, s, y):
    inverse, slope = xp.exp(-_log_deviation(xp, s)), 1.0 / xp.cosh(0.0625 * s)   # of the deviation; squared, of its logarithm
    distance = (m - y) * inverse
    return distance * inverse, (1.0 - xp.square(distance)) * slope * slope


quadratic = Cost("quadratic", lambda xp, a, y: 0.5 * xp.square(a - y), lambda xp, a, y: a - y, partner="identity",
                 value_at=lambda xp, z, y: 0.5 * xp.square(z - y), formula="sum((a - y)**2) / 2",
                 source="Nielsen, 2015, chapters 1 and 2")
hellinger = Cost(
    "hellinger", lambda xp, a, y: sqrt(0.5) * xp.square(_root_difference(xp, a, y)),
    lambda xp, a, y: sqrt(0.5) * xp.where(y > 0.0, _root_difference(xp, a, y) / xp.sqrt(a), 1.0), outputs="(0, inf)",
    targets="[0, inf)", formula="sum((sqrt(a) - sqrt(y))**2) / sqrt(2)", source=f"{_LIST}, after Hellinger, 1909")
kullback_leibler = Cost("kullback_leibler", lambda xp, a, y: _y_log_ratio(xp, y, a),
                        lambda xp, a, y: -_y_over(xp, y, a), outputs="(0, inf)", targets="[0, inf)", partner="softmax",
                        value_at=lambda xp, log_a, y: xp.where(y > 0.0, y * (xp.log(y) - log_a), 0.0 * y),
                        formula="sum(y * log(y / a))", source="Kullback and Leibler, On information and sufficiency, 1951")
generalized_kullback_leibler = Cost(
    "generalized_kullback_leibler",
    lambda xp, a, y: xp.where(y > 0.0, y * _ratio_less_log(xp, a, xp.where(y > 0.0, y, a)), a), _excess, outputs="(0, inf)",
    targets="[0, inf)", formula="sum(y * log(y / a) - y + a)",
    source="Lee and Seung, Algorithms for non-negative matrix factorization, NIPS 2000")
itakura_saito = Cost("itakura_saito", lambda xp, a, y: _ratio_less_log(xp, y, a), lambda xp, a, y: (a - y) / a / a,
                     outputs="(0, inf)", targets="(0, inf)", formula="sum(y / a - log(y / a) - 1)",
                     source="Itakura and Saito, Analysis synthesis telephony based on the maximum likelihood method, 1968")
hinge = Cost("hinge", lambda xp, a, y: xp.maximum(1.0 - y * a, 0.0), lambda xp, a, y: xp.where(y * a < 1.0, -y, 0.0 * y),
             targets="[-1, 1]", codes=(-1.0, 1.0), output="identity", kink=lambda xp, a, y: 1.0 - y * a, classifies=True,
             formula="sum(max(0, 1 - y * a))", source="Cortes and Vapnik, Support-vector networks, 1995")
squared_hinge = Cost("squared_hinge", lambda xp, a, y: xp.square(xp.maximum(1.0 - y * a, 0.0)),
                     lambda xp, a, y: -2.0 * y * xp.maximum(1.0 - y * a, 0.0), targets="[-1, 1]", codes=(-1.0, 1.0),
                     output="identity", kink=lambda xp, a, y: 1.0 - y * a, classifies=True,
                     formula="sum(max(0, 1 - y * a)**2)", source="Tang, Deep learning using linear support vector machines, 2013")
absolute = Cost("absolute", lambda xp, a, y: xp.absolute(a - y), lambda xp, a, y: xp.sign(a - y), kink=lambda xp, a, y: a - y,
                formula="sum(abs(a - y))", source="Koenker and Bassett, Regression quantiles, 1978, for the median")
log_cosh = Cost(
    "log_cosh", lambda xp, a, y: _log_cosh(xp, a - y), lambda xp, a, y: xp.tanh(a - y), formula="sum(log(cosh(a - y)))",
    source="Saleh and Saleh, arXiv:2208.04564, 2022")
poisson = Cost("poisson", lambda xp, a, y: a - _y_times(xp, y, xp.log(a)), _excess, outputs="(0, inf)",
               targets="[0, inf)", formula="sum(a - y * log(a))", source="Nelder and Wedderburn, Generalized linear models, 1972")

gaussian_nll = Cost(
    "gaussian_nll", lambda xp, m, s, y: 0.5 * xp.square((m - y) * xp.exp(-_log_deviation(xp, s))) + _log_deviation(xp, s),
    _gaussian_nll_prime, output="identity", deviation=lambda xp, s: xp.exp(_log_deviation(xp, s)),
    formula="sum(((m - y) * exp(-16 * tanh(s / 16)))**2 / 2 + 16 * tanh(s / 16))",
    source="Nix and Weigend, Estimating the mean and variance of the target probability distribution, ICNN 1994")

COSTS = Table("cost", Cost, [
    quadratic, binary_cross_entropy, softmax_cross_entropy, exponential, hellinger, kullback_leibler,
    generalized_kullback_leibler, itakura_saito, hinge, squared_hinge, multiclass_hinge, multiclass_squared_hinge, absolute,
    huber, pinball, log_cosh, poisson, gaussian_nll], aliases=["cross_entropy"])   # which resolve_cost reads


def resolve_cost(cost, activation, output=None, neurons=None):
    """The Cost and the output Activation that the arguments cost, activation and output select.

    Parameters
    ----------
    cost : str or Cost
        "cross-entropy" is the binary cross-entropy on sigmoid outputs, and the categorical one on softmax outputs.
    activation : str or Activation
        Of the hidden layers; also of the output if neither output nor cost determines it.
    output : str or Activation, optional
        Without it cross-entropy takes sigmoid if activation is sigmoid or neurons is 1, else softmax.
    neurons : int, optional
        The number of outputs.

    Raises ValueError if the range of the output leaves the domain of the cost.

    >>> [entry.name for entry in resolve_cost("cross-entropy", "relu")]
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
    if neurons is not None and neurons % cost.per_target:
        raise ValueError(f"cost {cost.name} has two outputs for each target: expected an even number of outputs, got {neurons}: "
                         "give the last layer twice as many neurons as there are targets")
    if not cost.admits(output):
        fitting = [name for name in ACTIVATIONS if cost.admits(ACTIVATIONS.find(name))]
        given = "shares of 1" if cost.deviation and output.rowwise else output.range
        raise ValueError(f"cost {cost.name} needs outputs in {cost.outputs}, but {output.name} gives {given}: choose "
                         f"output= from {', '.join(fitting)} (an activation of your own declares its range=)")
    return cost, output
