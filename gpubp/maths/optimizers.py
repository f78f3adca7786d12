"""Optimizers over the one vector: rules (w, state, g, scalars) -> (w', state').

A rule is a scalar formula, applied to each element of the vector; lr is the learning rate. Numbers that change with time come
from scalars(), once a step on the host. Formulas are PyTorch's where PyTorch has the optimizer (eps outside the bias correction).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import sqrt
from typing import Any, ClassVar

from .registry import Settings, number
from .schedules import Plateau

LearningRate = float | Callable[[float], float]


@dataclass(frozen=True)
class OptimizerPart(Settings):
    """One link of a chain: an optimizer, or what changes gradient or weights around it. Its state lives elsewhere."""


@dataclass(frozen=True)
class Optimizer(OptimizerPart):
    """state names its vectors; rule(xp, w, *state, g, *scalars) returns (w', *state'); scalars(t, learning_rate) counts t from 1.

    time_invariant: whether the scalars are the same at all t.
    """

    learning_rate: LearningRate

    functions = ("learning_rate",)
    time_invariant: ClassVar[bool] = False
    scalars: ClassVar[Callable[..., tuple[float, ...]]]
    rule: ClassVar[Callable[..., tuple[Any, ...]]]

    @property
    def state(self) -> tuple[str, ...]:
        """Names of the state vectors."""
        return ()

    def learning_rate_at(self, epoch, costs=()):
        """The learning rate at an epoch (a real number), given the costs of the finished epochs."""
        if not callable(self.learning_rate):
            return self.learning_rate
        past = (costs,) if isinstance(self.learning_rate, Plateau) else ()
        return number(f"the learning rate at epoch {epoch:.6g}", self.learning_rate(epoch, *past), "[0, inf)")


@dataclass(frozen=True)
class SGD(Optimizer):
    """w' = w - lr v', v' = momentum v + g; with nesterov w' = w - lr (g + momentum v')."""

    learning_rate: LearningRate = 0.1
    momentum: float = 0.0
    nesterov: bool = False

    time_invariant = True

    @property
    def state(self):
        return ("v",) if self.momentum else ()

    def scalars(self, t, learning_rate):
        return (learning_rate, self.momentum) if self.momentum else (learning_rate,)

    def rule(self, xp, w, *operands):
        if not self.momentum:
            g, learning_rate = operands
            return (w - learning_rate * g,)
        v, g, learning_rate, momentum = operands
        v = momentum * v + g
        return w - learning_rate * (g + momentum * v if self.nesterov else v), v


@dataclass(frozen=True)
class Adagrad(Optimizer):
    """w' = w - lr g / (sqrt(s') + eps), s' = s + g^2. Duchi et al., 2011."""

    learning_rate: LearningRate = 0.01
    decay: float = 0.0
    eps: float = 1e-10

    bounds = {"eps": "(0, inf)"}   # else 0 / 0 where there is no gradient
    state = ("s",)

    def scalars(self, t, learning_rate):
        return learning_rate / (1.0 + (t - 1) * self.decay), self.eps

    def rule(self, xp, w, s, g, learning_rate, eps):
        s = s + g * g
        return w - learning_rate * g / (xp.sqrt(s) + eps), s


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """w' = w - lr g / (sqrt(s') + eps), s' = alpha s + (1 - alpha) g^2; centered subtracts the mean's square. Hinton, 2012."""

    learning_rate: LearningRate = 0.01
    alpha: float = 0.99
    eps: float = 1e-8
    momentum: float = 0.0
    centered: bool = False

    time_invariant = True
    bounds = {"alpha": "[0, 1)", "eps": "(0, inf)"}

    @property
    def state(self):
        return ("s", *("mean",) * self.centered, *("v",) * (self.momentum > 0.0))

    def scalars(self, t, learning_rate):
        return learning_rate, self.alpha, 1.0 - self.alpha, self.eps, self.momentum

    def rule(self, xp, w, *operands):
        old = dict(zip(self.state, operands))
        g, learning_rate, alpha, one_minus_alpha, eps, momentum = operands[len(self.state):]
        new = {"s": alpha * old["s"] + one_minus_alpha * (g * g)}
        variance = new["s"]
        if self.centered:
            new["mean"] = alpha * old["mean"] + one_minus_alpha * g
            variance = xp.maximum(variance - new["mean"] * new["mean"], 0.0)
        step = g / (xp.sqrt(variance) + eps)
        if self.momentum:
            step = new["v"] = momentum * old["v"] + step
        return w - learning_rate * step, *new.values()


@dataclass(frozen=True)
class Moments(Optimizer):
    """What Adam and its relatives share: decaying means m of g and v of g^2."""

    learning_rate: LearningRate = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    bounds = {"beta1": "[0, 1)", "beta2": "[0, 1)", "eps": "(0, inf)"}
    state = ("m", "v")


def _moments(m, v, g, beta1, one_minus_beta1, beta2, one_minus_beta2):
    return beta1 * m + one_minus_beta1 * g, beta2 * v + one_minus_beta2 * (g * g)


def _adam(xp, w, m, v, g, beta1, one_minus_beta1, beta2, one_minus_beta2, step, root, eps):
    m, v = _moments(m, v, g, beta1, one_minus_beta1, beta2, one_minus_beta2)
    return w - step * m / (xp.sqrt(v) * root + eps), m, v


def _adam_scalars(adam, t, learning_rate):
    return (adam.beta1, 1.0 - adam.beta1, adam.beta2, 1.0 - adam.beta2,
            learning_rate / (1.0 - adam.beta1 ** t), 1.0 / sqrt(1.0 - adam.beta2 ** t), adam.eps)


@dataclass(frozen=True)
class Adam(Moments):
    """w' = w - lr m^ / (sqrt(v^) + eps), with the bias-corrected m^ and v^. Kingma and Ba, 2015."""

    def scalars(self, t, learning_rate):
        return _adam_scalars(self, t, learning_rate)

    def rule(self, xp, *operands):
        return _adam(xp, *operands)


@dataclass(frozen=True)
class AdamW(Moments):
    """Adam after w := (1 - lr decay) w, on every parameter as in PyTorch. Loshchilov and Hutter, 2019."""

    decay: float = 0.01

    def scalars(self, t, learning_rate):
        return (*_adam_scalars(self, t, learning_rate), 1.0 - learning_rate * self.decay)

    def rule(self, xp, w, *operands):
        return _adam(xp, operands[-1] * w, *operands[:-1])   # the last scalar shrinks w


@dataclass(frozen=True)
class Adamax(Moments):
    """w' = w - lr m^ / u', u' = max(beta2 u, |g| + eps). Kingma and Ba, 2015, section 7."""

    learning_rate: LearningRate = 2e-3

    state = ("m", "u")

    def scalars(self, t, learning_rate):
        return self.beta1, 1.0 - self.beta1, self.beta2, learning_rate / (1.0 - self.beta1 ** t), self.eps

    def rule(self, xp, w, m, u, g, beta1, one_minus_beta1, beta2, step, eps):
        m = beta1 * m + one_minus_beta1 * g
        u = xp.maximum(beta2 * u, xp.absolute(g) + eps)
        return w - step * m / u, m, u


@dataclass(frozen=True)
class NAdam(Moments):
    """Adam with Nesterov's momentum, whose coefficient grows with time. Dozat, 2016."""

    learning_rate: LearningRate = 2e-3
    momentum_decay: float = 4e-3
    # (t, product of the first t coefficients): a memory, so that a step does not multiply t numbers
    _product: list = field(default_factory=lambda: [0, 1.0], init=False, repr=False, compare=False)

    def _coefficient(self, t):
        return self.beta1 * (1.0 - 0.5 * 0.96 ** (t * self.momentum_decay))

    def scalars(self, t, learning_rate):
        if t < self._product[0]:
            self._product[:] = [0, 1.0]
        while self._product[0] < t:
            self._product[:] = [self._product[0] + 1, self._product[1] * self._coefficient(self._product[0] + 1)]
        product, now, following = self._product[1], self._coefficient(t), self._coefficient(t + 1)
        return (self.beta1, 1.0 - self.beta1, self.beta2, 1.0 - self.beta2, learning_rate * (1.0 - now) / (1.0 - product),
                learning_rate * following / (1.0 - product * following), 1.0 / sqrt(1.0 - self.beta2 ** t), self.eps)

    def rule(self, xp, w, m, v, g, beta1, one_minus_beta1, beta2, one_minus_beta2, step, ahead, root, eps):
        m, v = _moments(m, v, g, beta1, one_minus_beta1, beta2, one_minus_beta2)
        return w - (step * g + ahead * m) / (xp.sqrt(v) * root + eps), m, v


@dataclass(frozen=True)
class RAdam(Moments):
    """Adam that trusts v only once its variance is tractable, and is momentum before. Liu et al., 2020."""

    def scalars(self, t, learning_rate):
        corrected, limit = 1.0 - self.beta2 ** t, 2.0 / (1.0 - self.beta2) - 1.0
        length = limit - 2.0 * t * self.beta2 ** t / corrected
        step, adaptive, plain = learning_rate / (1.0 - self.beta1 ** t), 0.0, 1.0
        if length > 5.0:
            adaptive, plain = sqrt(corrected * (length - 4.0) * (length - 2.0) * limit
                                   / ((limit - 4.0) * (limit - 2.0) * length)), 0.0
        return (self.beta1, 1.0 - self.beta1, self.beta2, 1.0 - self.beta2, step * adaptive, step * plain, self.eps)

    def rule(self, xp, w, m, v, g, beta1, one_minus_beta1, beta2, one_minus_beta2, step, plain, eps):
        m, v = _moments(m, v, g, beta1, one_minus_beta1, beta2, one_minus_beta2)
        return w - (step / (xp.sqrt(v) + eps) + plain) * m, m, v


@dataclass(frozen=True)
class Adadelta(Optimizer):
    """w' = w - lr d, d = sqrt(u + eps) / sqrt(s' + eps) g, with decaying means s of g^2 and u of d^2. Zeiler, 2012."""

    learning_rate: LearningRate = 1.0
    rho: float = 0.9
    eps: float = 1e-6

    time_invariant = True
    bounds = {"rho": "[0, 1)", "eps": "(0, inf)"}
    state = ("s", "u")

    def scalars(self, t, learning_rate):
        return learning_rate, self.rho, 1.0 - self.rho, self.eps

    def rule(self, xp, w, s, u, g, learning_rate, rho, one_minus_rho, eps):
        s = rho * s + one_minus_rho * (g * g)
        step = xp.sqrt(u + eps) / xp.sqrt(s + eps) * g
        return w - learning_rate * step, s, rho * u + one_minus_rho * (step * step)


@dataclass(frozen=True)
class Lion(Optimizer):
    """w' = (1 - lr decay) w - lr sign(beta1 m + (1 - beta1) g), m' = beta2 m + (1 - beta2) g. Chen et al., 2023."""

    learning_rate: LearningRate = 1e-4
    beta1: float = 0.9
    beta2: float = 0.99
    decay: float = 0.0

    time_invariant = True
    bounds = {"beta1": "[0, 1]", "beta2": "[0, 1]"}
    state = ("m",)

    def scalars(self, t, learning_rate):
        return learning_rate, self.beta1, 1.0 - self.beta1, self.beta2, 1.0 - self.beta2, 1.0 - learning_rate * self.decay

    def rule(self, xp, w, m, g, learning_rate, beta1, one_minus_beta1, beta2, one_minus_beta2, shrink):
        return shrink * w - learning_rate * xp.sign(beta1 * m + one_minus_beta1 * g), beta2 * m + one_minus_beta2 * g
