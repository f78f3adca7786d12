"""What composes with any optimizer: penalties on the weights, clipping, bounds; and the chain that makes them one rule."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .linear import factors
from .optimizers import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Lion, NAdam, Optimizer, OptimizerPart, RAdam, RMSprop
from .registry import Table
from .schedules import SCHEDULES


@dataclass(frozen=True)
class GradientTransform(OptimizerPart):
    """Changes the gradient before the optimizer sees it: change(xp, g, w, weight, norm, amount) gives g'.

    weight is 1 for weights and 0 for biases, norm the norm of the whole gradient. One that splits weights from biases acts
    on the cost of the whole training set: its amount is divided by the number n of training samples.
    """

    amount: float
    uses_norm: ClassVar[bool] = False
    splits: ClassVar[bool] = False
    change: ClassVar[Callable[..., Any]]

    def scaled(self, n):
        """The amount for a training set of n samples."""
        return self.amount / n if self.splits else self.amount


@dataclass(frozen=True)
class L2(GradientTransform):
    """Adds l2 / (2 n) times the sum of the squared weights to the cost, biases left alone, as in the book.

    Under SGD that is w := (1 - lr l2 / n) w - lr g.
    """

    splits = True

    def change(self, xp, g, w, weight, norm, amount):
        return g + (amount * weight) * w


@dataclass(frozen=True)
class L1(GradientTransform):
    """Adds l1 / n times the sum of the absolute weights to the cost, biases left alone, as in the book."""

    splits = True

    def change(self, xp, g, w, weight, norm, amount):
        return g + (amount * weight) * xp.sign(w)


@dataclass(frozen=True)
class ClipValue(GradientTransform):
    """Keeps each element of the gradient within [-amount, amount]."""

    bounds = {"amount": "(0, inf)"}

    def change(self, xp, g, w, weight, norm, amount):
        return xp.minimum(xp.maximum(g, -amount), amount)


@dataclass(frozen=True)
class ClipNorm(GradientTransform):
    """Shortens the gradient to length amount where it is longer. Pascanu et al., 2013."""

    bounds = {"amount": "(0, inf)"}
    uses_norm = True

    def change(self, xp, g, w, weight, norm, amount):
        return g * (amount / xp.maximum(norm, amount))


@dataclass(frozen=True)
class MaxNorm(OptimizerPart):
    """After each step shortens a neuron's incoming weights to length amount where they are longer. Srebro et al., 2005."""

    amount: float

    bounds = {"amount": "(0, inf)"}


@dataclass(frozen=True)
class Chain:
    """Parts in their order: modifiers of the gradient, one optimizer, and at the end perhaps MaxNorm.

    >>> print(Chain.of([ClipNorm(1.0), L2(5.0), SGD(0.5)]))
    clip_norm(amount=1.0), l2(amount=5.0), sgd(learning_rate=0.5)
    """

    modifiers: tuple[GradientTransform, ...]
    optimizer: Optimizer
    max_norm: float | None = None

    @classmethod
    def of(cls, parts):
        """A chain from an optimizer, a part's text, or a list of either."""
        if isinstance(parts, cls):
            return parts
        if isinstance(parts, str):
            parts = OPTIMIZERS.find_all(parts)
        parts = [OPTIMIZERS.find(p) for p in (parts if isinstance(parts, (list, tuple)) else [parts])]
        kinds = ["m" if isinstance(p, GradientTransform) else "x" if isinstance(p, MaxNorm) else "o" for p in parts]
        order = "".join(kinds)
        if order.count("o") != 1 or order.strip("m") not in ("o", "ox") or "m" in order[order.index("o"):]:
            raise ValueError("expected any modifiers, then one optimizer, then perhaps MaxNorm, got "
                             f"[{', '.join(map(str, parts))}]: put the parts in that order")
        if any(p.uses_norm for p in parts[1:order.index("o")]):
            raise ValueError("ClipNorm measures the gradient as it was computed: put it first in the list")
        end = order.index("o")
        return cls(tuple(parts[:end]), parts[end], parts[end + 1].amount if order.endswith("x") else None)

    def __str__(self):
        ends = () if self.max_norm is None else (MaxNorm(self.max_norm),)
        return ", ".join(map(str, (*self.modifiers, self.optimizer, *ends)))

    @property
    def state(self):
        """Names of the state vectors."""
        return self.optimizer.state

    @property
    def uses_norm(self):
        """Whether the rule needs the norm of the gradient."""
        return any(m.uses_norm for m in self.modifiers)

    @property
    def splits(self):
        """Whether weights and biases are treated differently."""
        return any(m.splits for m in self.modifiers)

    def scalars(self, t, learning_rate, n):
        """The rule's numbers at step t (from 1) for a training set of n samples."""
        return (*self.optimizer.scalars(t, learning_rate), *(m.scaled(n) for m in self.modifiers))

    def table(self, first, rates, n):
        """The same for the steps from `first` on, one for each of the rates: an array with a row a step."""
        if self.optimizer.time_invariant and len(set(rates)) == 1:
            own = np.tile(self.optimizer.scalars(first, rates[0]), (len(rates), 1))
        else:
            own = np.array([self.optimizer.scalars(t, learning_rate) for t, learning_rate in enumerate(rates, first)])
        return np.hstack([own, np.tile([modifier.scaled(n) for modifier in self.modifiers], (len(own), 1))])

    def parameters(self):
        """The rule's parameter names after xp: w, the state, g, weight, norm, then the scalars."""
        count = len(self.scalars(1, 0.1, 1))
        return ["w", *self.state, "g", "weight", "norm", *(f"s{i}" for i in range(count))]

    def folding(self, *scalars):
        """(keep, part) where the rule is w' = keep w + part g for each weight and nothing else, with these scalars,
        numbers or arrays of such; else None."""
        if self.state or self.uses_norm or self.max_norm is not None:
            return None
        return factors(lambda xp, w, g: self.rule(xp, w, g, 1.0, 0.0, *scalars)[0], 2)

    def rule(self, xp, w, *operands):
        """(w', *state') from w, the state, g, weight (1 or 0), norm and the scalars."""
        count = len(self.state)
        state, (g, weight, norm), scalars = operands[:count], operands[count:count + 3], operands[count + 3:]
        amounts = scalars[len(scalars) - len(self.modifiers):]
        for modifier, amount in zip(self.modifiers, amounts):
            g = modifier.change(xp, g, w, weight, norm, amount)
        return self.optimizer.rule(xp, w, *state, g, *scalars[:len(scalars) - len(self.modifiers)])


OPTIMIZERS = Table("optimizer", OptimizerPart, {
    "sgd": SGD, "adagrad": Adagrad, "rmsprop": RMSprop, "adam": Adam, "adamw": AdamW, "adamax": Adamax, "nadam": NAdam,
    "radam": RAdam, "adadelta": Adadelta, "lion": Lion,
    "l1": L1, "l2": L2, "clip_value": ClipValue, "clip_norm": ClipNorm, "max_norm": MaxNorm}, arguments=SCHEDULES)
