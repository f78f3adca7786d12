"""Optimizers over the one vector: rules (w, state, g, scalars) -> (w', state').

A rule is a scalar formula, applied to each element of the vector; numbers that change with time come from scalars(), once a
step, on the host. Formulas are PyTorch's where PyTorch has the optimizer (eps outside the bias correction).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import sqrt
from typing import Any, ClassVar

from .registry import Settings, number
from .schedules import Plateau

Rate = float | Callable[[float], float]


@dataclass(frozen=True)
class Part(Settings):
    """One link of a chain: an optimizer, or what changes gradient or weights around it. Its state lives elsewhere."""


@dataclass(frozen=True)
class Optimizer(Part):
    """state names its vectors; rule(xp, w, *state, g, *scalars) returns (w', *state'); scalars(t, rate) counts t from 1.

    timeless: whether the scalars are the same at all t.
    """

    rate: Rate

    functions = ("rate",)
    timeless: ClassVar[bool] = False
    scalars: ClassVar[Callable[..., tuple[float, ...]]]
    rule: ClassVar[Callable[..., tuple[Any, ...]]]

    @property
    def state(self) -> tuple[str, ...]:
        """Names of the state vectors."""
        return ()

    def rate_at(self, epoch, costs=()):
        """The learning rate at an epoch (a real number), given the costs of the finished epochs."""
        if not callable(self.rate):
            return self.rate
        rate = self.rate(epoch, costs) if isinstance(self.rate, Plateau) else self.rate(epoch)
        return number(f"the rate at epoch {epoch:.6g}", rate, "[0, inf)")


@dataclass(frozen=True)
class SGD(Optimizer):
    """w' = w - rate v', v' = momentum v + g; with nesterov w' = w - rate (g + momentum v')."""

    rate: Rate = 0.1
    momentum: float = 0.0
    nesterov: bool = False

    timeless = True

    @property
    def state(self):
        return ("v",) if self.momentum else ()

    def scalars(self, t, rate):
        return (rate, self.momentum) if self.momentum else (rate,)

    def rule(self, xp, w, *operands):
        if not self.momentum:
            g, rate = operands
            return (w - rate * g,)
        v, g, rate, momentum = operands
        v = momentum * v + g
        return w - rate * (g + momentum * v if self.nesterov else v), v


@dataclass(frozen=True)
class Adagrad(Optimizer):
    """w' = w - rate g / (sqrt(s') + eps), s' = s + g^2. Duchi et al., 2011."""

    rate: Rate = 0.01
    decay: float = 0.0
    eps: float = 1e-10

    bounds = {"eps": "(0, inf)"}   # else 0 / 0 where there is no gradient
    state = ("s",)

    def scalars(self, t, rate):
        return rate / (1.0 + (t - 1) * self.decay), self.eps

    def rule(self, xp, w, s, g, rate, eps):
        s = s + g * g
        return w - rate * g / (xp.sqrt(s) + eps), s


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """w' = w - rate g / (sqrt(s') + eps), s' = alpha s + (1 - alpha) g^2; centered subtracts the mean's square. Hinton, 2012."""

    rate: Rate = 0.01
    alpha: float = 0.99
    eps: float = 1e-8
    momentum: float = 0.0
    centered: bool = False

    timeless = True
    bounds = {"alpha": "[0, 1)", "eps": "(0, inf)"}

    @property
    def state(self):
        return ("s", *("mean",) * self.centered, *("v",) * (self.momentum > 0.0))

    def scalars(self, t, rate):
        return rate, self.alpha, 1.0 - self.alpha, self.eps, self.momentum

    def rule(self, xp, w, *operands):
        old, (g, rate, alpha, rest, eps, momentum) = dict(zip(self.state, operands)), operands[len(self.state):]
        new = {"s": alpha * old["s"] + rest * (g * g)}
        variance = new["s"]
        if self.centered:
            new["mean"] = alpha * old["mean"] + rest * g
            variance = xp.maximum(variance - new["mean"] * new["mean"], 0.0)
        step = g / (xp.sqrt(variance) + eps)
        if self.momentum:
            step = new["v"] = momentum * old["v"] + step
        return w - rate * step, *new.values()


@dataclass(frozen=True)
class Moments(Optimizer):
    """What Adam and its relatives share: decaying means m of g and v of g^2."""

    rate: Rate = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    bounds = {"beta1": "[0, 1)", "beta2": "[0, 1)", "eps": "(0, inf)"}
    state = ("m", "v")


def _moments(m, v, g, keep1, take1, keep2, take2):
    return keep1 * m + take1 * g, keep2 * v + take2 * (g * g)


def _adam(xp, w, m, v, g, keep1, take1, keep2, take2, step, root, eps):
    m, v = _moments(m, v, g, keep1, take1, keep2, take2)
    return w - step * m / (xp.sqrt(v) * root + eps), m, v


def _adam_scalars(adam, t, rate):
    return (adam.beta1, 1.0 - adam.beta1, adam.beta2, 1.0 - adam.beta2,
            rate / (1.0 - adam.beta1 ** t), 1.0 / sqrt(1.0 - adam.beta2 ** t), adam.eps)


@dataclass(frozen=True)
class Adam(Moments):
    """w' = w - rate m^ / (sqrt(v^) + eps), with the bias-corrected m^ and v^. Kingma and Ba, 2015."""

    def scalars(self, t, rate):
        return _adam_scalars(self, t, rate)

    def rule(self, xp, *operands):
        return _adam(xp, *operands)


@dataclass(frozen=True)
class AdamW(Moments):
    """Adam after w := (1 - rate decay) w, on every parameter as in PyTorch. Loshchilov and Hutter, 2019."""

    decay: float = 0.01

    def scalars(self, t, rate):
        return (*_adam_scalars(self, t, rate), 1.0 - rate * self.decay)

    def rule(self, xp, w, *operands):
        return _adam(xp, operands[-1] * w, *operands[:-1])   # the last scalar shrinks w


@dataclass(frozen=True)
class Adamax(Moments):
    """w' = w - rate m^ / u', u' = max(beta2 u, |g| + eps). Kingma and Ba, 2015, section 7."""

    rate: Rate = 2e-3

    state = ("m", "u")

    def scalars(self, t, rate):
        return self.beta1, 1.0 - self.beta1, self.beta2, rate / (1.0 - self.beta1 ** t), self.eps

    def rule(self, xp, w, m, u, g, keep1, take1, keep2, step, eps):
        m = keep1 * m + take1 * g
        u = xp.maximum(keep2 * u, xp.absolute(g) + eps)
        return w - step * m / u, m, u


@dataclass(frozen=True)
class NAdam(Moments):
    """Adam with Nesterov's momentum, whose coefficient grows with time. Dozat, 2016."""

    rate: Rate = 2e-3
    momentum_decay: float = 4e-3
    # (t, product of the first t coefficients): a memory, so that a step does not multiply t numbers
    _product: list = field(default_factory=lambda: [0, 1.0], init=False, repr=False, compare=False)

    def _coefficient(self, t):
        return self.beta1 * (1.0 - 0.5 * 0.96 ** (t * self.momentum_decay))

    def scalars(self, t, rate):
        if t < self._product[0]:
            self._product[:] = [0, 1.0]
        while self._product[0] < t:
            self._product[:] = [self._product[0] + 1, self._product[1] * self._coefficient(self._product[0] + 1)]
        product, now, following = self._product[1], self._coefficient(t), self._coefficient(t + 1)
        return (self.beta1, 1.0 - self.beta1, self.beta2, 1.0 - self.beta2, rate * (1.0 - now) / (1.0 - product),
                rate * following / (1.0 - product * following), 1.0 / sqrt(1.0 - self.beta2 ** t), self.eps)

    def rule(self, xp, w, m, v, g, keep1, take1, keep2, take2, step, ahead, root, eps):
        m, v = _moments(m, v, g, keep1, take1, keep2, take2)
        return w - (step * g + ahead * m) / (xp.sqrt(v) * root + eps), m, v


@dataclass(frozen=True)
class RAdam(Moments):
    """Adam that trusts v only once its variance is tractable, and is momentum before. Liu et al., 2020."""

    def scalars(self, t, rate):
        corrected, limit = 1.0 - self.beta2 ** t, 2.0 / (1.0 - self.beta2) - 1.0
        length = limit - 2.0 * t * self.beta2 ** t / corrected
        step, adaptive, plain = rate / (1.0 - self.beta1 ** t), 0.0, 1.0
        if length > 5.0:
            adaptive, plain = sqrt(corrected * (length - 4.0) * (length - 2.0) * limit
                                   / ((limit - 4.0) * (limit - 2.0) * length)), 0.0
        return (self.beta1, 1.0 - self.beta1, self.beta2, 1.0 - self.beta2, step * adaptive, step * plain, self.eps)

    def rule(self, xp, w, m, v, g, keep1, take1, keep2, take2, step, plain, eps):
        m, v = _moments(m, v, g, keep1, take1, keep2, take2)
        return w - (step / (xp.sqrt(v) + eps) + plain) * m, m, v


@dataclass(frozen=True)
class Adadelta(Optimizer):
    """w' = w - rate d, d = sqrt(u + eps) / sqrt(s' + eps) g, with decaying means s of g^2 and u of d^2. Zeiler, 2012."""

    rate: Rate = 1.0
    rho: float = 0.9
    eps: float = 1e-6

    timeless = True
    bounds = {"rho": "[0, 1)", "eps": "(0, inf)"}
    state = ("s", "u")

    def scalars(self, t, rate):
        return rate, self.rho, 1.0 - self.rho, self.eps

    def rule(self, xp, w, s, u, g, rate, keep, take, eps):
        s = keep * s + take * (g * g)
        step = xp.sqrt(u + eps) / xp.sqrt(s + eps) * g
        return w - rate * step, s, keep * u + take * (step * step)


@dataclass(frozen=True)
class Lion(Optimizer):
    """w' = (1 - rate decay) w - rate sign(beta1 m + (1 - beta1) g), m' = beta2 m + (1 - beta2) g. Chen et al., 2023."""

    rate: Rate = 1e-4
    beta1: float = 0.9
    beta2: float = 0.99
    decay: float = 0.0

    timeless = True
    bounds = {"beta1": "[0, 1]", "beta2": "[0, 1]"}
    state = ("m",)

    def scalars(self, t, rate):
        return rate, self.beta1, 1.0 - self.beta1, self.beta2, 1.0 - self.beta2, 1.0 - rate * self.decay

    def rule(self, xp, w, m, g, rate, keep1, take1, keep2, take2, shrink):
        return shrink * w - rate * xp.sign(keep1 * m + take1 * g), keep2 * m + take2 * g
