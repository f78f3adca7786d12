"""Optimizers over the vector of all parameters: rules (w, state, g, scalars) -> (w', state'); a prime marks new values.

A rule is a scalar formula, applied to each element of the vector. The host computes the scalars once for each step. Formulas
agree with PyTorch if it has the optimizer: eps is added after the bias correction.
"""

from collections.abc import Callable
from dataclasses import field
from math import prod, sqrt
from typing import Any, ClassVar

from .registry import Settings
from .schedules import Plateau
from .validation import number

LearningRate = float | Callable[[float], float]

_root = lambda x: sqrt(x) if isinstance(x, float) else x ** 0.5   # a Term too, which JavaScript is written from


class OptimizerPart(Settings):
    """A link of a Chain: an optimizer, or a transform of the gradient or the weights around it. It holds no state."""


class Optimizer(OptimizerPart):
    """The base of optimizers: state names the state vectors, and rule(xp, w, *state, g, *scalars) returns (w', *state').

    scalars(t, learning_rate) returns the numbers of step t, counted from 1.
    """

    learning_rate: LearningRate

    functions: ClassVar[tuple[str, ...]] = ("learning_rate",)
    time_invariant = property(lambda self: False, doc="Whether the scalars are the same at all steps.")
    scalars: ClassVar[Callable[..., tuple[float, ...]]]
    rule: ClassVar[Callable[..., tuple[Any, ...]]]
    state = property(lambda self: (), doc="Names of the state vectors.")

    def learning_rate_at(self, epoch, costs=()):
        """The learning rate at an epoch, a real number, given the costs of the finished epochs."""
        if not callable(self.learning_rate):
            return self.learning_rate
        past = (costs,) if isinstance(self.learning_rate, Plateau) else ()
        return number(f"the learning rate at epoch {epoch:.6g}", self.learning_rate(epoch, *past), "[0, inf)")


class SGD(Optimizer):
    """v' = momentum v + g, w' = w - learning_rate v'; with nesterov w' = w - learning_rate (g + momentum v').

    With dampening, v' = momentum v + (1 - dampening) g after step 1. Without momentum, both have no effect.

    >>> import numpy as np
    >>> SGD(0.5).rule(np, 1.0, 0.2, *SGD(0.5).scalars(1, 0.5))   # of w = 1 and g = 0.2 at step 1
    (0.9,)
    """

    learning_rate: LearningRate = 0.1
    momentum: float = 0.0
    nesterov: bool = False
    dampening: float = 0.0

    source = "Nielsen, 2015, chapters 1 and 3; Sutskever et al., On the importance of initialization and momentum, ICML 2013"
    bounds = {"dampening": "[0, 1]"}
    time_invariant = property(lambda self: not (self.momentum and self.dampening), doc="Whether step 1 is like all others.")
    state = property(lambda self: ("v",) if self.momentum else (), doc="v if there is momentum.")

    def scalars(self, t, learning_rate):
        if not self.momentum:
            return (learning_rate,)
        return learning_rate, self.momentum, *((1.0 - self.dampening if t > 1 else 1.0,) if self.dampening else ())

    def rule(self, xp, w, *operands):
        if not self.momentum:
            g, learning_rate = operands
            return (w - learning_rate * g,)
        v, g, learning_rate, momentum, *share = operands
        v = momentum * v + (share[0] * g if share else g)
        return w - learning_rate * (g + momentum * v if self.nesterov else v), v


class Adagrad(Optimizer):
    """s' = s + g², w' = w - learning_rate / (1 + (t - 1) decay) g / (√s' + eps) at step t.

    >>> print(Adagrad(0.5, decay=0.1))
    adagrad(learning_rate=0.5, decay=0.1)
    """

    learning_rate: LearningRate = 0.01
    decay: float = 0.0
    eps: float = 1e-10

    source = "Duchi, Hazan and Singer, Adaptive subgradient methods for online learning and stochastic optimization, JMLR 2011"
    bounds = {"eps": "(0, inf)"}   # else 0 / 0 where there is no gradient
    state = ("s",)

    def scalars(self, t, learning_rate):
        return learning_rate / (1.0 + (t - 1) * self.decay), self.eps

    def rule(self, xp, w, s, g, learning_rate, eps):
        s = s + g * g
        return w - learning_rate * g / (xp.sqrt(s) + eps), s


class RMSprop(Optimizer):
    """s' = alpha s + (1 - alpha) g², w' = w - learning_rate g / (√s' + eps).

    If centered, the square of the decaying mean of g is subtracted from s'.
    With momentum, v' = momentum v + g / (√s' + eps), w' = w - learning_rate v'.

    >>> print(RMSprop(0.5, centered=True))
    rmsprop(learning_rate=0.5, centered=True)
    """

    learning_rate: LearningRate = 0.01
    alpha: float = 0.99
    eps: float = 1e-8
    momentum: float = 0.0
    centered: bool = False

    source = "Tieleman and Hinton, lecture 6.5 of Neural networks for machine learning, 2012; Graves, arXiv:1308.0850, 2013"
    time_invariant = True
    bounds = {"alpha": "[0, 1)", "eps": "(0, inf)"}
    state = property(lambda self: ("s", *("mean",) * self.centered, *("v",) * (self.momentum > 0.0)),
                     doc="s, mean if centered, and v if there is momentum.")

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
        direction = g / (xp.sqrt(variance) + eps)
        if self.momentum:
            direction = new["v"] = momentum * old["v"] + direction
        return w - learning_rate * direction, *new.values()


class Moments(Optimizer):
    """The base of Adam and its variants: m' = beta1 m + (1 - beta1) g and v' = beta2 v + (1 - beta2) g²."""

    learning_rate: LearningRate = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    bounds = {"beta1": "[0, 1)", "beta2": "[0, 1)", "eps": "(0, inf)"}
    state = ("m", "v")


class Adam(Moments):
    """w' = w - learning_rate m̂ / (√v̂ + eps), with m̂ = m' / (1 - beta1^t) and v̂ = v' / (1 - beta2^t) at step t.

    m' = beta1 m + (1 - beta1) g and v' = beta2 v + (1 - beta2) g² are decaying means. With amsgrad, v̂ uses the largest v' yet.

    >>> print(Adam(0.5, beta1=0.8))
    adam(learning_rate=0.5, beta1=0.8)
    """

    amsgrad: bool = False

    source = ("Kingma and Ba, Adam: a method for stochastic optimization, ICLR 2015; "
              "Reddi, Kale and Kumar, On the convergence of Adam and beyond, ICLR 2018")
    state = property(lambda self: ("m", "v", *("v_max",) * self.amsgrad), doc="m and v, and v_max with amsgrad.")

    def scalars(self, t, learning_rate):
        return (self.beta1, 1.0 - self.beta1, self.beta2, 1.0 - self.beta2,
                learning_rate / (1.0 - self.beta1 ** t), 1.0 / _root(1.0 - self.beta2 ** t), self.eps)

    def rule(self, xp, w, m, v, *operands):
        *largest, g, beta1, one_minus_beta1, beta2, one_minus_beta2, step_size, v_correction, eps = operands
        m = beta1 * m + one_minus_beta1 * g
        v = beta2 * v + one_minus_beta2 * (g * g)
        moments = v, *(xp.maximum(v_max, v) for v_max in largest)
        return w - step_size * m / (xp.sqrt(moments[-1]) * v_correction + eps), m, *moments


class AdamW(Adam):
    """w' = (1 - learning_rate decay) w - learning_rate m̂ / (√v̂ + eps): decoupled weight decay, on every parameter as in PyTorch.

    m̂ and v̂, with beta1, beta2 and amsgrad, are defined as in Adam.

    >>> print(AdamW(0.5, decay=0.1))
    adamw(learning_rate=0.5, decay=0.1)
    """

    decay: float = 0.01

    source = "Loshchilov and Hutter, Decoupled weight decay regularization, ICLR 2019"

    def scalars(self, t, learning_rate):
        return *super().scalars(t, learning_rate), 1.0 - learning_rate * self.decay

    def rule(self, xp, w, *operands):
        return super().rule(xp, operands[-1] * w, *operands[:-1])   # the last scalar shrinks w


class Adamax(Moments):
    """w' = w - learning_rate m' / ((1 - beta1^t) u') at step t, with u' = max(beta2 u, |g| + eps) and m' as in Adam.

    >>> print(Adamax(0.5, beta1=0.8))
    adamax(learning_rate=0.5, beta1=0.8)
    """

    learning_rate: LearningRate = 2e-3

    source = "Kingma and Ba, Adam: a method for stochastic optimization, ICLR 2015, section 7"
    state = ("m", "u")

    def scalars(self, t, learning_rate):
        return self.beta1, 1.0 - self.beta1, self.beta2, learning_rate / (1.0 - self.beta1 ** t), self.eps

    def rule(self, xp, w, m, u, g, beta1, one_minus_beta1, beta2, step_size, eps):
        m = beta1 * m + one_minus_beta1 * g
        u = xp.maximum(beta2 * u, xp.absolute(g) + eps)
        return w - step_size * m / u, m, u


class NAdam(Moments):
    """w' = w - learning_rate ((1 - μ_t) / (1 - Π_t) g + μ_{t+1} / (1 - Π_{t+1}) m') / (√v̂ + eps) at step t.

    μ_t = beta1 (1 - 0.96^(t momentum_decay) / 2), and Π_t is the product of μ_1 to μ_t. m' and v̂, with beta2, are as in Adam.

    >>> print(NAdam(0.5, beta1=0.8))
    nadam(learning_rate=0.5, beta1=0.8)
    """

    learning_rate: LearningRate = 2e-3
    momentum_decay: float = 4e-3
    # (t, product of the first t coefficients), kept so that a step does not multiply t numbers
    _product: list = field(default_factory=lambda: [0, 1.0], init=False, repr=False, compare=False)

    source = "Dozat, Incorporating Nesterov momentum into Adam, ICLR workshop 2016"

    def _coefficient(self, t):
        return self.beta1 * (1.0 - 0.5 * 0.96 ** (t * self.momentum_decay))

    def scalars(self, t, learning_rate):
        done, product = self._product if self._product[0] <= t else (0, 1.0)
        product = prod(map(self._coefficient, range(done + 1, t + 1)), start=product)
        self._product[:] = t, product
        now, following = self._coefficient(t), self._coefficient(t + 1)
        return (self.beta1, 1.0 - self.beta1, self.beta2, 1.0 - self.beta2, learning_rate * (1.0 - now) / (1.0 - product),
                learning_rate * following / (1.0 - product * following), 1.0 / sqrt(1.0 - self.beta2 ** t), self.eps)

    def rule(self, xp, w, m, v, g, beta1, one_minus_beta1, beta2, one_minus_beta2, g_step_size, m_step_size,
             v_correction, eps):
        m = beta1 * m + one_minus_beta1 * g
        v = beta2 * v + one_minus_beta2 * (g * g)
        return w - (g_step_size * g + m_step_size * m) / (xp.sqrt(v) * v_correction + eps), m, v


class RAdam(Moments):
    """w' = w - learning_rate r √(1 - beta2^t) m̂ / (√v' + eps) if ρ > 5, else w' = w - learning_rate m̂, at step t.

    r = √((ρ - 4) (ρ - 2) ρ∞ / ((ρ∞ - 4) (ρ∞ - 2) ρ)), ρ∞ = 2 / (1 - beta2) - 1 and ρ = ρ∞ - 2 t beta2^t / (1 - beta2^t).
    m̂ and v', with beta1, are defined as in Adam.

    >>> print(RAdam(0.5, beta1=0.8))
    radam(learning_rate=0.5, beta1=0.8)
    """

    source = "Liu et al., On the variance of the adaptive learning rate and beyond, ICLR 2020"

    def scalars(self, t, learning_rate):
        corrected, limit = 1.0 - self.beta2 ** t, 2.0 / (1.0 - self.beta2) - 1.0
        length = limit - 2.0 * t * self.beta2 ** t / corrected
        step_size, adaptive, momentum = learning_rate / (1.0 - self.beta1 ** t), 0.0, 1.0
        if length > 5.0:
            adaptive, momentum = sqrt(corrected * (length - 4.0) * (length - 2.0) * limit
                                      / ((limit - 4.0) * (limit - 2.0) * length)), 0.0
        return (self.beta1, 1.0 - self.beta1, self.beta2, 1.0 - self.beta2, step_size * adaptive, step_size * momentum, self.eps)

    def rule(self, xp, w, m, v, g, beta1, one_minus_beta1, beta2, one_minus_beta2, adaptive, momentum, eps):
        m = beta1 * m + one_minus_beta1 * g
        v = beta2 * v + one_minus_beta2 * (g * g)
        return w - (adaptive / (xp.sqrt(v) + eps) + momentum) * m, m, v


class ASGD(Optimizer):
    """w' = (1 - η decay) w - η g at step t, with η = learning_rate / (1 + (t - 1) decay learning_rate)^alpha.

    average' = (1 - μ) average + μ w', with μ = 1 / max(1, t - 1 - t0), is the mean of the parameters from step t0 + 2 on. It is a
    state vector: net.vector = net.training_state.state["average"].vector uses it.

    >>> print(ASGD(0.5, t0=100))
    asgd(learning_rate=0.5, t0=100)
    """

    learning_rate: LearningRate = 0.01
    decay: float = 1e-4
    alpha: float = 0.75
    t0: float = 1e6

    source = "Polyak and Juditsky, Acceleration of stochastic approximation by averaging, SIAM Journal on Control 1992"
    state = ("average",)

    def scalars(self, t, learning_rate):
        eta = learning_rate / (1.0 + self.decay * learning_rate * (t - 1)) ** self.alpha
        mu = 1.0 / max(1.0, t - 1 - self.t0)
        return 1.0 - self.decay * eta, eta, 1.0 - mu, mu

    def rule(self, xp, w, average, g, shrink, eta, one_minus_mu, mu):
        w = shrink * w - eta * g
        return w, one_minus_mu * average + mu * w


class Rprop(Optimizer):
    """w' = w - sign(g) step_size': the size of each parameter's step adapts to the signs of its gradient; for whole batches.

    step_size' = step_size eta_plus while the sign of g stays, step_size eta_minus when it changes, within min_step and max_step.
    A parameter whose sign changed does not step, and its step_size stays at the next step. The first step_size is learning_rate.

    >>> print(Rprop(0.5, max_step=10.0))
    rprop(learning_rate=0.5, max_step=10.0)
    """

    learning_rate: LearningRate = 0.01
    eta_minus: float = 0.5
    eta_plus: float = 1.2
    min_step: float = 1e-6
    max_step: float = 50.0

    source = "Riedmiller and Braun, A direct adaptive method for faster backpropagation learning: the RPROP algorithm, 1993"
    functions = ()   # only the first step uses the learning rate
    time_invariant = True
    bounds = {"learning_rate": "(0, inf)", "eta_minus": "(0, 1)", "eta_plus": "(1, inf)", "min_step": "(0, inf)",
              "max_step": "(0, inf)"}
    state = ("sign", "step_size")

    def scalars(self, t, learning_rate):
        return learning_rate, self.eta_minus, self.eta_plus, self.min_step, self.max_step

    def rule(self, xp, w, sign, step_size, g, learning_rate, eta_minus, eta_plus, min_step, max_step):
        now = xp.sign(g)
        agreement = now * sign
        size = xp.where(step_size > 0.0, step_size, learning_rate)   # zero before the first step
        size = xp.where(agreement > 0.0, eta_plus * size, xp.where(agreement < 0.0, eta_minus * size, size))
        size = xp.minimum(xp.maximum(size, min_step), max_step)
        now = xp.where(agreement < 0.0, 0.0, now)
        return w - now * size, now, size


class Adadelta(Optimizer):
    """w' = w - learning_rate d, d = √(u + eps) / √(s' + eps) g, s' = rho s + (1 - rho) g², u' = rho u + (1 - rho) d².

    >>> print(Adadelta(0.5, rho=0.8))
    adadelta(learning_rate=0.5, rho=0.8)
    """

    learning_rate: LearningRate = 1.0
    rho: float = 0.9
    eps: float = 1e-6

    source = "Zeiler, ADADELTA: an adaptive learning rate method, 2012"
    time_invariant = True
    bounds = {"rho": "[0, 1)", "eps": "(0, inf)"}
    state = ("s", "u")

    def scalars(self, t, learning_rate):
        return learning_rate, self.rho, 1.0 - self.rho, self.eps

    def rule(self, xp, w, s, u, g, learning_rate, rho, one_minus_rho, eps):
        s = rho * s + one_minus_rho * (g * g)
        d = xp.sqrt(u + eps) / xp.sqrt(s + eps) * g
        return w - learning_rate * d, s, rho * u + one_minus_rho * (d * d)


class Lion(Optimizer):
    """w' = (1 - learning_rate decay) w - learning_rate sign(beta1 m + (1 - beta1) g), m' = beta2 m + (1 - beta2) g.

    >>> print(Lion(0.5, decay=0.1))
    lion(learning_rate=0.5, decay=0.1)
    """

    learning_rate: LearningRate = 1e-4
    beta1: float = 0.9
    beta2: float = 0.99
    decay: float = 0.0

    source = "Chen et al., Symbolic discovery of optimization algorithms, NeurIPS 2023"
    time_invariant = True
    bounds = {"beta1": "[0, 1]", "beta2": "[0, 1]"}
    state = ("m",)

    def scalars(self, t, learning_rate):
        return learning_rate, self.beta1, 1.0 - self.beta1, self.beta2, 1.0 - self.beta2, 1.0 - learning_rate * self.decay

    def rule(self, xp, w, m, g, learning_rate, beta1, one_minus_beta1, beta2, one_minus_beta2, shrink):
        return shrink * w - learning_rate * xp.sign(beta1 * m + one_minus_beta1 * g), beta2 * m + one_minus_beta2 * g
