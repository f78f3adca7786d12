"""Gradient transforms, such as penalties and clipping, which compose with any optimizer; and the Chain of them, one rule."""

from collections.abc import Callable
from dataclasses import dataclass, is_dataclass, replace
from re import fullmatch
from typing import Any, ClassVar

import numpy as np

from . import optimizers
from .linear import factors
from .optimizers import SGD, Optimizer, OptimizerPart
from .registry import Table
from .schedules import SCHEDULES


class GradientTransform(OptimizerPart):
    """The base of changes before the optimizer: change(xp, g, w, is_weight, norm, amount) returns g'.

    is_weight is 1 for weights and 0 for biases; norm is the norm of the whole gradient. biases = False leaves biases out. For a
    term of the cost of the whole training set, derive from Penalty, which divides the amount by the number of samples.
    """

    amount: float
    uses_norm: ClassVar[bool] = False
    biases = True
    splits = property(lambda self: not self.biases, doc="Whether it leaves biases out.")
    change: ClassVar[Callable[..., Any]]

    def __init_subclass__(cls, **options):
        if "splits" in vars(cls):
            raise TypeError(f"{cls.__name__}: expected no attribute splits, which follows from biases: set biases = False, and "
                            "derive from Penalty for a term of the cost")
        super().__init_subclass__(**options)

    def _scaled(self, n, learning_rate):
        """The amount in a step at a learning rate, for a training set of n samples."""
        return self.amount

    def _share(self, is_weight, amount):
        """The amount for weights, and for biases if they are not left out."""
        return amount if self.biases else amount * is_weight

    def _shrink(self, w, is_weight, amount):
        """The parameters that the optimizer starts from."""
        return w


class Penalty(GradientTransform):
    """The base of penalties, which belong to the cost of the whole training set: slope(xp, w) is their gradient."""

    biases: bool = False

    slope: ClassVar[Callable[..., Any]]

    def _scaled(self, n, learning_rate):
        return self.amount / n

    def change(self, xp, g, w, is_weight, norm, amount):
        return g + self._share(is_weight, amount) * self.slope(xp, w)


class L2(Penalty):
    """g' = g + (amount / n) w for weights, g' = g for biases: adds (amount / (2 n)) Σ w² to the cost of n training samples.

    With biases, they are penalized too: PyTorch's weight_decay is L2(weight_decay n, biases=True).

    >>> import numpy as np
    >>> L2(0.5).change(np, 0.25, 1.0, 1.0, 1.0, 0.5)
    0.75
    """

    source = "Nielsen, 2015, chapter 3"

    def slope(self, xp, w):
        return w


class L1(Penalty):
    """g' = g + (amount / n) sign(w) for weights, g' = g for biases: adds (amount / n) Σ |w| to the cost of n training samples.

    With biases, they are penalized too.

    >>> import numpy as np
    >>> print(L1(0.5).change(np, 0.25, 1.0, 1.0, 1.0, 0.5))
    0.75
    """

    source = "Nielsen, 2015, chapter 3"

    def slope(self, xp, w):
        return xp.sign(w)


class WeightDecay(GradientTransform):
    """w' = (1 - learning_rate amount) w before the optimizer's step: decoupled weight decay, for every optimizer.

    As in PyTorch, it shrinks biases too, unless biases=False. [WeightDecay(0.01), Adam()] is AdamW; PyTorch's NAdam and RAdam
    have it with decoupled_weight_decay=True.

    >>> from gpubp import NAdam
    >>> print(Chain.of([WeightDecay(0.01, biases=False), NAdam()]))
    weight_decay(amount=0.01, biases=False), nadam()
    """

    biases: bool = True

    source = "Loshchilov and Hutter, Decoupled weight decay regularization, ICLR 2019"

    def _scaled(self, n, learning_rate):
        return learning_rate * self.amount

    def change(self, xp, g, w, is_weight, norm, amount):
        return g

    def _shrink(self, w, is_weight, amount):
        return w - self._share(is_weight, amount) * w


class ClipValue(GradientTransform):
    """g' = min(max(g, -amount), amount), for each element of the gradient.

    >>> import numpy as np
    >>> print(ClipValue(0.5).change(np, 2.0, 1.0, 1.0, 1.0, 0.5))
    0.5
    """

    source = "Mikolov, Statistical language models based on neural networks, thesis, 2012"
    bounds = {"amount": "(0, inf)"}

    def change(self, xp, g, w, is_weight, norm, amount):
        return xp.minimum(xp.maximum(g, -amount), amount)


class ClipNorm(GradientTransform):
    """g' = g amount / max(‖g‖, amount), with the norm of the whole gradient.

    >>> import numpy as np
    >>> print(ClipNorm(0.5).change(np, 0.25, 1.0, 1.0, 1.0, 0.5))
    0.125
    """

    source = "Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural networks, ICML 2013"
    bounds = {"amount": "(0, inf)"}
    uses_norm = True

    def change(self, xp, g, w, is_weight, norm, amount):
        return g * (amount / xp.maximum(norm, amount))


class MaxNorm(OptimizerPart):
    """w' = w amount / max(‖w‖, amount) after each step, with the norm of each neuron's incoming weights.

    >>> Chain.of("sgd(0.1), max_norm(3)").max_norm
    3
    """

    amount: float

    source = "Srivastava et al., Dropout: a simple way to prevent neural networks from overfitting, JMLR 2014"
    bounds = {"amount": "(0, inf)"}


@dataclass(frozen=True)
class Chain:
    """Gradient transforms, one optimizer, and perhaps MaxNorm, applied in this order as one rule.

    Parameters
    ----------
    transforms : tuple of GradientTransform
    optimizer : Optimizer
    max_norm : float, optional
        The amount of MaxNorm.

    >>> from gpubp import SGD
    >>> print(Chain.of([ClipNorm(1.0), L2(5.0), SGD(0.5)]))
    clip_norm(amount=1.0), l2(amount=5.0), sgd(learning_rate=0.5)
    """

    transforms: tuple[GradientTransform, ...]
    optimizer: Optimizer
    max_norm: float | None = None

    @classmethod
    def of(cls, parts):
        """The chain of an optimizer, a text such as "l2(5.0), sgd(0.5)", or a list of optimizer parts and texts.

        Raises ValueError for other parts or another order.
        """
        if isinstance(parts, cls):
            return parts
        if isinstance(parts, str):
            parts = OPTIMIZERS.find_all(parts)
        parts = [OPTIMIZERS.find(p) for p in (parts if isinstance(parts, (list, tuple)) else [parts])]
        kinds = "".join("t" if isinstance(p, GradientTransform) else "m" if isinstance(p, MaxNorm) else "o" for p in parts)
        if not fullmatch("t*om?", kinds):
            raise ValueError("expected any gradient transforms, then one optimizer, then perhaps MaxNorm, got "
                             f"[{', '.join(map(str, parts))}]: put the parts in that order")
        end = kinds.index("o")
        if any(p.uses_norm for p in parts[1:end]):
            raise ValueError("ClipNorm measures the gradient as it was computed: put it first in the list")
        return cls(tuple(parts[:end]), parts[end], parts[-1].amount if kinds.endswith("m") else None)

    def __str__(self):
        ends = () if self.max_norm is None else (MaxNorm(self.max_norm),)
        return ", ".join(map(str, (*self.transforms, self.optimizer, *ends)))

    def with_learning_rate(self, learning_rate: float) -> "Chain":
        """The same chain with another learning rate; a schedule keeps its form and gets it as its own learning rate.

        >>> print(Chain.of("adam(cosine(0.01, epochs=5))").with_learning_rate(0.1))
        adam(learning_rate=cosine(learning_rate=0.1, epochs=5))
        """
        old = self.optimizer.learning_rate
        rate = replace(old, learning_rate=learning_rate) if is_dataclass(old) and not isinstance(old, type) else learning_rate
        return replace(self, optimizer=replace(self.optimizer, learning_rate=rate))

    state = property(lambda self: self.optimizer.state, doc="Names of the state vectors.")
    uses_norm = property(lambda self: any(t.uses_norm for t in self.transforms), doc="Whether it needs the gradient's norm.")
    splits = property(lambda self: any(t.splits for t in self.transforms), doc="Whether biases are treated differently.")

    @property
    def is_own(self):
        """Whether a part or the learning rate is the user's own, whose functions may look at the network that is trained."""
        rate, parts = self.optimizer.learning_rate, {type(part) for part in (*self.transforms, self.optimizer)}
        return not parts <= {*OPTIMIZERS.values()} or (callable(rate) and type(rate) not in SCHEDULES.values())

    def scalars(self, t, learning_rate, n):
        """The numbers of the rule at step t (from 1) for a training set of n samples."""
        return (*self.optimizer.scalars(t, learning_rate), *(m._scaled(n, learning_rate) for m in self.transforms))

    def table(self, first, rates, n):
        """The scalars for n samples as an array (steps, scalars): of the steps from `first` on, one for each of the rates."""
        if self.optimizer.time_invariant and len(set(rates)) == 1:
            return np.tile(self.scalars(first, rates[0], n), (len(rates), 1))
        return np.array([self.scalars(t, learning_rate, n) for t, learning_rate in enumerate(rates, first)])

    def parameters(self):
        """The names of the rule's parameters after xp: w, the state, g, is_weight, norm, then the scalars."""
        count = len(self.scalars(1, 0.1, 1))
        return ["w", *self.state, "g", "is_weight", "norm", *(f"s{i}" for i in range(count))]

    def gemm_scalars(self, *scalars):
        """(beta, alpha) if the rule with these scalars, numbers or arrays, is w' = beta w + alpha g for each weight; or None."""
        if self.state or self.uses_norm or self.max_norm is not None:
            return None
        return factors(lambda xp, w, g: self.rule(xp, w, g, 1.0, 0.0, *scalars)[0], 2)

    def rule(self, xp, w, *operands):
        """(w', *state') with functions of the array module xp; operands: the state, g, is_weight, norm and the scalars."""
        count, own = len(self.state), len(operands) - len(self.transforms)
        state, (g, is_weight, norm), scalars = operands[:count], operands[count:count + 3], operands[count + 3:own]
        for transform, amount in zip(self.transforms, operands[own:]):
            g, w = transform.change(xp, g, w, is_weight, norm, amount), transform._shrink(w, is_weight, amount)
        return self.optimizer.rule(xp, w, *state, g, *scalars)


OPTIMIZERS = Table("optimizer", OptimizerPart, [
    SGD, optimizers.Adagrad, optimizers.RMSprop, optimizers.Adam, optimizers.AdamW, optimizers.Adamax, optimizers.NAdam,
    optimizers.RAdam, optimizers.ASGD, optimizers.Rprop, optimizers.Adadelta, optimizers.Lion,
    L1, L2, WeightDecay, ClipValue, ClipNorm, MaxNorm],
    nested=SCHEDULES)
