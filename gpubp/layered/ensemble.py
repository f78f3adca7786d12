"""Ensemble: several networks as one, with the mean of their outputs, their votes, and how far they differ."""

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..atomic import atomically
from ..maths.validation import shown
from . import packing
from .call_arrays import scored_arrays
from .dlpack import like
from .fit_all import SHARED as TRAINED_TOGETHER
from .fit_all import check_same, fit_all
from .history import History
from .input_checks import array_of
from .metrics import labels, predictions, score_from_terms, score_terms
from .network import Network, on_device
from .task import CLASSIFICATION, MULTI_LABEL, REGRESSION, guess

FORMAT = 1   # of the file; each network in it has the format of a saved network
SHARED = {**TRAINED_TOGETHER, "task": lambda net: net.task, "codes of the cost": lambda net: net.cost_function.codes,
          "outputs per target": lambda net: net.cost_function.per_target, "dtype": lambda net: net.dtype.name}


class Ensemble:
    """Several networks as one, for lower errors than one of them has, and for a measure of their doubt.

    Parameters
    ----------
    networks : networks with the same inputs, outputs, task, codes of the cost, dtype and device

    len(ensemble), ensemble[0] and iteration give the networks; ensemble.networks is the tuple of them. Each of them may be
    trained or used by itself. Raises ValueError or TypeError for other networks.

    >>> import numpy as np, gpubp
    >>> x, y = np.eye(2), np.array([0, 1])
    >>> ensemble = gpubp.Ensemble([gpubp.Network([2, 8, 2], cost="cross-entropy", seed=seed) for seed in range(3)])
    >>> histories = ensemble.fit(x, y, optimizer="sgd(1)", epochs=50)
    >>> ensemble.predict(x).tolist(), ensemble.vote(x).tolist(), ensemble.score(x, y), ensemble.spread(x).shape
    ([0, 1], [0, 1], 1.0, (2, 2))
    """

    access = nullcontext()   # each network has its own

    def __init__(self, networks: Iterable[Network]) -> None:
        self.networks = tuple(networks) if isinstance(networks, Iterable) else (networks,)
        if not self.networks or not all(isinstance(network, Network) for network in self.networks):
            raise TypeError(f"expected one or more networks, got {shown(networks)}: pass [gpubp.Network(...), ...]")
        self._check()

    def _check(self):
        """Refuse networks that do not go together, since each may be trained and moved by itself."""
        check_same(self.networks, SHARED)   # a network that has not seen targets has no task of its own yet

    def __len__(self) -> int:
        return len(self.networks)

    def __getitem__(self, place: int) -> Network:
        return self.networks[place]

    def __iter__(self) -> Iterator[Network]:
        return iter(self.networks)

    def __repr__(self):
        return f"<Ensemble of {len(self)}, the first {self[0]!r}>"

    @property
    def ops(self) -> Any:
        """The device of the networks, as net.ops."""
        return self[0].ops

    @property
    def task(self) -> str | None:
        """The task of the networks, as net.task; None if none of them knows it."""
        return self._judge.task

    @property
    def _judge(self):
        """A network that knows the task, if there is one."""
        return next((network for network in self if network.task), self[0])

    def fit(self, x: ArrayLike, y: ArrayLike, **options: Any) -> list[History]:
        """Train all networks together; returns their histories.

        Parameters
        ----------
        x, y, **options : as for gpubp.fit_all, which raises the same errors
        """
        return fit_all(self.networks, x, y, **options)

    @on_device
    def feedforward(self, x: ArrayLike) -> Any:
        """The mean of the networks' outputs, of shape (n, outputs), in their dtype; x and errors as for Network."""
        return like(self.ops, x, self._mean_and_spread(self._outputs(x))[0])

    @on_device
    def spread(self, x: ArrayLike) -> Any:
        """The standard deviation of the outputs over the networks, of shape (n, outputs); 0 where they agree, x as for fit."""
        return like(self.ops, x, self._mean_and_spread(self._outputs(x))[1])

    @on_device
    def predict(self, x: ArrayLike) -> Any:
        """Labels of the mean of the outputs, or the mean of a regression; shapes, x and errors as for Network.predict.

        With gaussian_nll, the means and deviations describe the mixture of the networks' normal distributions
        (Lakshminarayanan et al., 2017).
        """
        if self[0].cost_function.deviation:
            return like(self.ops, x, self._mixture(self._outputs(x)))
        mean, _ = self._mean_and_spread(self._outputs(x))
        return like(self.ops, x, predictions(self._judge, mean, self.task or guess(self[0])))

    @on_device
    def vote(self, x: ArrayLike) -> Any:
        """The label that most networks predict, as predict; of equally many votes, the one that has the largest mean output.

        For a single output and for separate labels, a tie goes to the label of the mean. Raises ValueError for a regression.
        """
        self._check()
        first, task, xp = self._judge, self.task or guess(self[0]), self.ops.xp
        if task == REGRESSION:
            raise ValueError("expected networks that predict labels, got a regression: use predict, which takes the mean")
        outputs = [*self._outputs(x)]
        mean, _ = self._mean_and_spread(outputs)
        off, on = first.cost_function.codes
        if task == CLASSIFICATION and mean.shape[1] > 1:
            votes = sum(labels(first, a, task)[:, None] == xp.arange(mean.shape[1]) for a in outputs)
            won = xp.where(votes == votes.max(axis=1, keepdims=True), mean, -xp.inf)
        else:
            votes = sum((labels(first, a, MULTI_LABEL) == on).astype(int) for a in outputs)
            won = xp.where(2 * votes == len(self), mean, xp.where(2 * votes > len(self), float(on), float(off)))
        return like(self.ops, x, predictions(first, xp.where(xp.isnan(mean), mean, won), task))

    @on_device
    def score(self, x: ArrayLike, y: ArrayLike) -> float:
        """Accuracy, or R^2 of a regression, of the mean of the outputs.

        Parameters
        ----------
        x, y : as for Network.score, which raises the same errors
        """
        self._check()
        rows, codes, task = scored_arrays(self._judge, x, y)
        count, (mean, _) = rows.shape[0], self._mean_and_spread(self._outputs(x))
        terms = score_terms(self[0], rows, codes, task, [(slice(0, count), mean)])
        return score_from_terms(map(float, terms), count, task)

    @on_device
    def save(self, path: str | PathLike, overwrite: bool = True) -> None:
        """Write all networks, with their optimizers' states, to one .npz file, which gpubp.load reads as an ensemble.

        Parameters
        ----------
        path, overwrite : as for Network.save

        Raises OSError if the file cannot be written, and the other errors of Network.save.

        >>> import gpubp, tempfile
        >>> path = tempfile.mkdtemp() + "/ensemble.npz"
        >>> gpubp.Ensemble([gpubp.Network([2, 1], seed=1)] * 2).save(path)
        >>> len(gpubp.load(path))
        2
        """
        import json  # only files and pickles need it

        self._check()
        for network in self:
            network.parameters.require_finite()
        packed = [packing.pack(network) for network in self]
        header = json.dumps({"format": FORMAT, "networks": [header for header, _ in packed]})
        arrays = {f"{place}.{name}": array for place, (_, arrays) in enumerate(packed) for name, array in arrays.items()}
        atomically(path, lambda file: np.savez(file, ensemble=np.array(header), **arrays), "the ensemble", new=not overwrite)
        for network, (header, _) in zip(self, packed):
            packing.warn_of_left_out(network, header)

    def _outputs(self, x):
        """The outputs of each network, on the device."""
        self._check()
        x = array_of(self[0], x, "x")
        return (self.ops.asarray(network.feedforward(x), network.dtype) for network in self)

    def _mixture(self, outputs):
        """The variance of a mixture is the mean of the variances and the variance of the means."""
        xp, found = self.ops.xp, (predictions(network, a, REGRESSION) for network, a in zip(self, outputs))
        (mean, deviation), (of_means, of_deviations) = (xp.split(part, 2, axis=1) for part in self._mean_and_spread(found))
        return xp.concatenate([mean, xp.hypot(xp.hypot(deviation, of_deviations), of_means)], axis=1)

    def _mean_and_spread(self, outputs):
        """By Welford's method in float64, which is exact where all networks agree."""
        mean: Any = 0.0
        squares: Any = 0.0
        for count, a in enumerate(outputs, 1):
            difference = a.astype("float64") - mean
            mean = mean + difference / count
            squares = squares + difference * (a - mean)
        return tuple(values.astype(self[0].dtype) for values in (mean, self.ops.xp.sqrt(squares / count)))
