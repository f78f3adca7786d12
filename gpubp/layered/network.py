"""Network: layers of sigmas, one vector of parameters, and the cost as a function of that vector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial, wraps
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ..circuits import layers as circuit
from ..circuits.wire import TRACED, Wire
from ..devices import open_device
from ..devices.ops import Ops, checked_precision
from ..devices.random import WEIGHTS, checked_seed, generator
from ..gates import BiasActivation
from ..maths.activations import Activation
from ..maths.costs import Cost
from ..maths.initializers import Initializer
from ..maths.validation import shown
from . import call_arrays, input_checks, packing
from .access import Access
from .device_choice import DeviceChoice
from .dlpack import follow, like
from .export import export
from .fit import fit
from .history import History
from .inference import Inference
from .layers import Dense, Dropout, description, resolve
from .memory import memory
from .metrics import predictions, score_from_terms, score_terms
from .parameters import Parameters, shapes
from .standardization import Standardization
from .task import checked_task, guess
from .trace import Trace
from .training_state import TrainingState
from .workspace_cache import WorkspaceCache

if TYPE_CHECKING:
    from .gradient_check import GradientReport

P = ParamSpec("P")
R = TypeVar("R")


def on_device(method: Callable[Concatenate[Any, P], R], changes: bool = False,
              name: str = "") -> Callable[Concatenate[Any, P], R]:
    """Run the method on the device of its object, without NumPy's warnings: NaN and infinity are checked explicitly.

    changes: whether the method needs the network for its thread only. name: of the method in errors, if not its own.
    """
    name = name or method.__name__

    @wraps(method)
    def on_device(self: Any, *args: P.args, **kwargs: P.kwargs) -> R:
        with self.access.changing(name) if changes else self.access, self.ops.device, np.errstate(all="ignore"):
            try:
                return method(self, *args, **kwargs)
            except MemoryError as error:
                raise MemoryError(f"expected memory on {self.ops.name} for {name}, got: {error}: use smaller batches, "
                                  "or fewer rows in one call; net.memory predicts the memory of fit") from error
            finally:
                follow(self.ops, (*args, *kwargs.values()))
    return on_device


class Network:
    """A layered network: a multilayer perceptron (MLP) of fully connected layers.

    Parameters
    ----------
    layers : [inputs, ..., outputs]
        Numbers of neurons; after the first, also Dense and Dropout layers. Without a hidden layer, learning is the delta rule.
    activation : name or Activation, default "sigmoid"
        The activation of each layer for which Dense does not name another.
    output : name or Activation, optional
        The activation of the last layer. None takes the default output of the cost (sigmoid or softmax for cross-entropy,
        identity for hinges), else `activation`.
    cost : name or Cost, default "quadratic"
        The loss, summed over outputs and averaged over the batch. "cross-entropy" is binary cross-entropy on sigmoid outputs and
        categorical cross-entropy on softmax outputs. "gaussian_nll" has two outputs for each target: first the means, then as
        many numbers that determine their standard deviations; y has half as many columns as there are outputs.
    initializer : name or Initializer, optional
        None is the default of each layer's activation.
    device : "auto", "cpu", "cpu:numpy", "cpu:compiled", "cuda" or "cuda:N", default "auto"
        "auto" takes a GPU, unless the first fit predicts that the CPU is faster; net.device_choice says why.
    dtype : "float32" or "float64", default "float32"
    seed : int, optional
        Fixes the initial weights, the order of the samples and the dropout masks; None draws one, which is kept as net.seed.
    precision : "exact", "tf32", "bfloat16" or "float16", default "exact"
        Mixed precision: a GPU may round the factors of matrix products in fit, feedforward, predict and score. Weights and
        their gradient stay float32. Everything else, and the CPU, is exact.
    task : "classification", "multi-label" or "regression", optional
        None lets the first fit (or score) decide and keep it. Classification: labels (n,), rows of 0 and 1 with a single 1, rows
        that sum to 1 under a cross-entropy, and one column of 0 and 1. Multi-label, each output a separate label: other rows of
        0 and 1. Regression: all else; also one column, or other rows, of 0 and 1 if the outputs are unbounded and the cost is not
        one of classification. Hinges have -1 for 0. net.task and repr(net) show the task; net.task = "regression" overrides it.
    standardize : bool, default False
        Standardize x: subtract the mean of each input and divide by its standard deviation, both of the training data of the
        first fit, whose sample weights do not matter; fit(x, y, epochs=0) only measures them. Constant inputs become 0. All
        methods then take x in its own units; before the first fit, x enters as it is. net.standardization has shift and scale.

    net.parameters["w1"], ["b1"], ... are views of net.vector.

    Threads may share a network: its methods run in parallel and give the answers of a single thread. Fit, to, the function of
    objective and assigning net.vector or net.task change it, so they need it for their own thread. If calls of other threads are
    under way then, or begin before the end, the later call raises RuntimeError and changes nothing: give that thread a
    net.copy(). Not noticed are writing to an array such as net.parameters["w1"], and that the first score before any fit decides
    net.task, by which predict goes.

    A call raises ValueError if a parameter is NaN or infinite, and names it. On a GPU, feedforward, predict and gradient do not
    wait for that check: they give NaN, or the label -1. For fewer than 512 rows and more than 32,768 parameters, they and cost
    check the parameters only if the answer is not finite.

    Raises ValueError or TypeError if an argument is not as described, and RuntimeError if the device is not available.

    >>> import gpubp
    >>> net = gpubp.Network([2, 3, 1], seed=1)
    >>> net.feedforward([[0.0, 1.0]]).shape, net.parameters["w1"].shape, net.vector.shape
    ((1, 1), (3, 2), (128,))
    """

    def __init__(self, layers: Sequence[int | Dense | Dropout], activation: str | Activation = "sigmoid",
                 output: str | Activation | None = None, cost: str | Cost = "quadratic",
                 initializer: str | Initializer | None = None, device: str | Ops = "auto",
                 dtype: DTypeLike = "float32", seed: int | None = None, precision: str = "exact", task: str | None = None,
                 standardize: bool = False) -> None:
        inputs, self.layers, self.cost_function = resolve(layers, activation, output, cost, initializer)
        self.dtype = np.dtype(dtype).newbyteorder("=")
        if dtype is None or self.dtype.name not in ("float32", "float64"):
            raise ValueError(f"expected dtype 'float32' or 'float64', got {shown(dtype)}")
        self.precision, self.seed = checked_precision(precision, self.dtype), checked_seed(seed)
        dense: list[Any] = [layer for layer in self.layers if isinstance(layer, Dense)]
        self.sizes = [inputs, *(layer.neurons for layer in dense)]
        self.depth = len(dense)
        self.gates = {l: BiasActivation(layer.activation) for l, layer in enumerate(dense, 1)}
        self.dropout_rates: dict[int, float] = {}   # dropout after layer l, 0 being the input
        for l, layer in zip(accumulate(int(isinstance(layer, Dense)) for layer in self.layers), self.layers):
            if l in self.dropout_rates and isinstance(layer, Dropout):
                raise ValueError(f"expected one Dropout after a layer, got two after layer {l}: combine them into one")
            if isinstance(layer, Dropout):
                self.dropout_rates[l] = layer.rate
        self.ops = open_device(device)
        self.device_choice = DeviceChoice.of(device, self.ops)   # which device, and why
        self.access, self.inference = Access(), Inference(self)
        self.parameters = Parameters(shapes(self.sizes), self.ops, self.dtype)
        for l, layer in enumerate(dense, 1):
            random = generator(self.seed, WEIGHTS, l)
            self.parameters.write(f"w{l}", layer.initializer.weights(random, self.sizes[l], self.sizes[l - 1]))
            self.parameters.write(f"b{l}", layer.initializer.biases(random, self.sizes[l]))
        self.training_state: TrainingState | None = None
        self.is_training = False   # whether a fit is under way
        self.workspace_cache: WorkspaceCache | None = None   # of the last fit, for the next one
        self.task = task
        if not isinstance(standardize, bool | np.bool_):
            raise TypeError(f"expected standardize to be True or False, got {shown(standardize)}")
        self.standardize = bool(standardize)
        self.standardization: Standardization | None = None   # made by the first fit
        self.history = History()
        self.metadata: dict[str, Any] = {}   # of the user, saved with the network as JSON

    @property
    def vector(self) -> Any:
        """All weights and biases in one contiguous vector on the device; zeros fill the gaps between the views."""
        return self.parameters.vector

    @vector.setter
    def vector(self, values: ArrayLike) -> None:
        with self.access.changing("net.vector = ..."), self.ops.device, np.errstate(all="ignore"):
            values = call_arrays.vector(self, values)
            if values is not self.vector:   # as after net.vector *= 2
                self.vector[...] = values

    @property
    def task(self) -> str | None:
        """"classification", "multi-label" or "regression"; None until it is given, or decided by the first fit or score."""
        return self._task

    @task.setter
    def task(self, name: str | None) -> None:
        with self.access.changing("net.task = ..."):
            self._task = checked_task(self, name)

    @property
    def epoch(self) -> int:
        """The number of completed epochs of training."""
        return len(self.history)

    def __repr__(self):
        return f"<Network {description(self, f'{self.number_format} on {self.ops.name}')}>"

    @property
    def number_format(self) -> str:
        """The dtype, and the precision of products if the device rounds them."""
        precision = self.ops.with_precision(self.precision).precision
        return self.dtype.name if precision == "exact" else f"{self.dtype.name} with {precision} products"

    def to(self, device: str | Ops) -> Network:
        """Move parameters and training state to a device ("cpu", "cuda", "cuda:1"); returns the network itself.

        Raises RuntimeError in a callback of fit or if the device is not available, and ValueError for an unknown device.

        >>> import gpubp
        >>> gpubp.Network([2, 1], device="cpu", seed=1).to("cpu:numpy")
        <Network 2 - 1 sigmoid, cost quadratic, float32 on cpu:numpy, seed 1>
        """
        with self.access.changing("to"):
            if self.is_training:
                raise RuntimeError("a callback moves the network that is being trained: call net.to after fit")
            moved = self.copy(device)
            self.ops, self.parameters, self.training_state = moved.ops, moved.parameters, moved.training_state
            self.inference, self.standardization = Inference(self), moved.standardization
            self.workspace_cache, self.device_choice = None, moved.device_choice
        return self

    @on_device
    def copy(self, device: str | Ops | None = None) -> Network:
        """An independent network with the same parameters, training state, history and metadata.

        device is a name as for Network, None for the same device. Raises ValueError and RuntimeError as Network does.

        >>> import gpubp
        >>> net = gpubp.Network([2, 1], seed=1)
        >>> net.copy().vector is net.vector, bool((net.copy().vector == net.vector).all())
        (False, True)
        """
        network = Network([self.sizes[0], *self.layers], cost=self.cost_function, device=device or self.ops,
                          dtype=self.dtype, seed=self.seed, precision=self.precision, task=self.task,
                          standardize=self.standardize)
        network.device_choice = network.device_choice if device else self.device_choice
        network.parameters = self.parameters.copy(network.ops)
        network.training_state = self.training_state.copy(network.ops) if self.training_state else None
        network.history, network.metadata = deepcopy(self.history), deepcopy(self.metadata)
        network.standardization = self.standardization and self.standardization.copy(network.ops)
        return network

    def __deepcopy__(self, memo):
        return self.copy()

    @on_device
    def __reduce__(self):
        self.parameters.require_finite()   # else the pickle could not be read
        header, arrays = packing.pack(self)
        packing.warn_of_left_out(self, header)
        return packing.unpack, (Network, header, arrays, self.ops.name, packing.custom(self))

    @on_device
    def feedforward(self, x: ArrayLike) -> Any:
        """The outputs a_L, of shape (n, outputs), for samples x of shape (n, inputs).

        The outputs have the network's dtype, and the library and device of x. Raises ValueError or TypeError if x has another
        shape, or a number that is not finite. For an x on a GPU the host does not wait: such a number makes its row NaN.

        >>> import gpubp
        >>> net = gpubp.Network([2, 1], activation="identity", seed=1)
        >>> net.parameters["w1"][...], net.parameters["b1"][...] = [[1.0, 2.0]], 0.0
        >>> net.feedforward([[0.0, 1.0], [1.0, 0.0]]).tolist()
        [[2.0], [1.0]]
        """
        return like(self.ops, x, self.inference.outputs(input_checks.samples(self, x, check_now=False)))

    def __call__(self, x: ArrayLike | Wire, vector: ArrayLike | Wire | None = None) -> Any:
        """feedforward(x) as a differentiable function of x and of the parameters; gpubp.grad and its relatives take it.

        Parameters
        ----------
        x : array or traced value (n, inputs)
        vector : array or traced value of the shape of net.vector, optional
            Parameters to use instead of net.vector, which does not change.

        Raises ValueError or TypeError for arrays of another shape, or if x has a number that is not finite.

        >>> import numpy as np, gpubp
        >>> net = gpubp.Network([2, 3, 1], dtype="float64", seed=1)
        >>> x, y = np.eye(2), np.array([[0.0], [1.0]])
        >>> found = gpubp.grad(lambda vector: np.sum((net(x, vector) - y) ** 2) / 4)(net.vector)
        >>> np.allclose(found, net.gradient(x, y), atol=1e-15)
        True
        """
        if vector is None and type(x) not in TRACED:
            return self.feedforward(x)
        with self.access, np.errstate(all="ignore"):   # on the caller's stream, on which the gradient flows back
            if vector is not None:
                call_arrays.check_shape(self, vector)
            elif self.ops.synchronous:
                call_arrays.check_parameters(self)
            parameters = self.parameters if vector is None else self.parameters.views(vector)
            layers, rows = range(1, self.depth + 1), input_checks.samples_or_wire(self, x)
            return circuit.outputs([self.gates[l].activation for l in layers], [parameters[f"w{l}"] for l in layers],
                                   [parameters[f"b{l}"] for l in layers], rows)

    @on_device
    def predict(self, x: ArrayLike) -> Any:
        """Labels as int64, or the outputs of a regression, for samples x of shape (n, inputs), by net.task.

        Classification has labels of shape (n,): the index of the largest output, or for a single output the nearer code (0 or 1,
        for hinges -1 or 1). Multi-label has codes of shape (n, outputs), the nearer one for each output. On a GPU, rows whose
        outputs are NaN get -1 (0 if -1 is a code). Regression has outputs of shape (n, outputs), or (n,) for a single output;
        with gaussian_nll these are first the means, then as many standard deviations, in the units of y.
        If net.task is None, it is classification if the cost is one of classification or the outputs are bounded.

        Raises ValueError or TypeError if x has another shape, or a number that is not finite.

        >>> import gpubp
        >>> net = gpubp.Network([2, 1], seed=1)
        >>> net.parameters["w1"][...] = [[9.0, -9.0]]
        >>> net.predict([[0.0, 1.0], [1.0, 0.0]]).tolist()
        [0, 1]
        """
        outputs, task = self.inference.outputs(input_checks.samples(self, x, check_now=False)), self.task or guess(self)
        return like(self.ops, x, predictions(self, outputs, task))

    @on_device
    def score(self, x: ArrayLike, y: ArrayLike) -> float:
        """Accuracy (0 to 1), or R^2, the fraction of variance explained (at most 1), of a regression; net.task decides.

        With gaussian_nll, R^2 is that of the means.
        Multi-label accuracy is subset accuracy, as scikit-learn's accuracy_score: the fraction of rows in which every label is
        right. Soft targets count as their largest one (the first of equals), or as the nearer code.

        Parameters
        ----------
        x : array (n, inputs)
        y : labels (n,) or targets (n, outputs)
            If net.task is None, y decides it, as in fit. Targets of another task are refused.

        Raises ValueError or TypeError as fit does.

        >>> import gpubp
        >>> net = gpubp.Network([2, 1], cost="cross-entropy", seed=1)
        >>> net.parameters["w1"][...] = [[9.0, -9.0]]
        >>> net.score([[0.0, 1.0], [1.0, 0.0]], [1, 1])   # the predictions are 0 and 1
        0.5
        """
        rows, codes, task = call_arrays.scored_arrays(self, x, y)
        score = score_from_terms(map(float, score_terms(self, rows, codes, task)), rows.shape[0], task)
        self._task = task
        return score

    @on_device
    def cost(self, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """The cost (loss), summed over outputs and averaged over samples.

        Parameters
        ----------
        x, y, sample_weight : as for fit

        Raises ValueError or TypeError as fit does.

        >>> import gpubp
        >>> net = gpubp.Network([1, 1], activation="identity", dtype="float64", seed=1)
        >>> net.vector[...] = 0.0
        >>> net.cost([[1.0], [2.0]], [[2.0], [0.0]])   # the quadratic cost is (a - y)^2 / 2
        1.0
        """
        cost = self.inference.cost(*call_arrays.checked_arrays(self, x, y, sample_weight, check_now=False))
        return call_arrays.raise_if_nan(self, float(cost), x, y, sample_weight)

    @on_device
    def gradient(self, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Any:
        """dC/d(vector), a new vector with the layout, dtype and device of net.vector, by BP1 to BP4.

        Parameters
        ----------
        x, y, sample_weight : as for fit

        Raises ValueError or TypeError as fit does; on a GPU, invalid numbers make the gradient NaN instead.

        >>> import gpubp
        >>> net = gpubp.Network([2, 1], activation="identity", seed=1)
        >>> net.vector[...] = 0.0
        >>> gradient = net.parameters.views(net.gradient([[0.0, 1.0]], [[-1.0]]))   # delta = a - y = 1
        >>> gradient["w1"].tolist(), gradient["b1"].tolist()
        ([[0.0, 1.0]], [1.0])
        """
        arrays = call_arrays.checked_arrays(self, x, y, sample_weight, check_now=False)
        return self.ops.copy_for_caller(self.inference.cost_and_gradient(*arrays)[1])

    @on_device
    def objective(self, x: ArrayLike, y: ArrayLike,
                  sample_weight: ArrayLike | None = None) -> Callable[[ArrayLike], tuple[float, np.ndarray]]:
        """A function vector -> (cost, gradient) for scipy.optimize.minimize(..., jac=True).

        Parameters
        ----------
        x, y, sample_weight : as for fit

        The gradient is a NumPy array of float64. Each call sets net.vector; copy the result back: net.vector[...] = result.x.
        A call raises RuntimeError while another thread uses the network.
        Raises ValueError or TypeError as fit does.

        >>> import gpubp
        >>> net = gpubp.Network([2, 1], seed=1)
        >>> cost, gradient = net.objective([[0.0, 1.0]], [[1.0]])(net.vector)
        >>> cost == net.cost([[0.0, 1.0]], [[1.0]]), gradient.dtype
        (True, dtype('float64'))
        """
        checked = call_arrays.checked_arrays(self, x, y, sample_weight, check_now=False)

        def objective(self, vector):
            call_arrays.check_shape(self, vector)
            values = self.ops.asarray(vector, self.dtype)
            self.parameters.require_finite(values)
            self.vector[...] = values
            cost, gradient = self.inference.cost_and_gradient(*checked)
            return call_arrays.raise_if_nan(self, float(cost), x, y,
                                            sample_weight), self.ops.to_numpy(gradient).astype(np.float64)
        return partial(on_device(objective, changes=True), self)

    @on_device
    def trace(self, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Trace:
        """All arrays of one forward and backward pass: z, a, delta, dw and db of each layer, and gradient norms of the samples.

        Parameters
        ----------
        x, y, sample_weight : as for fit

        Raises ValueError or TypeError as fit does.

        >>> import gpubp
        >>> net = gpubp.Network([2, 1], activation="identity", seed=1)
        >>> net.vector[...] = 0.0
        >>> trace = net.trace([[0.0, 1.0]], [[-1.0]])
        >>> trace.a[1].tolist(), trace.delta[1].tolist()
        ([[0.0]], [[1.0]])
        """
        return Trace(self, *call_arrays.checked_arrays(self, x, y, sample_weight))

    fit = on_device(fit, changes=True)

    @on_device
    def check(self, x: ArrayLike, y: ArrayLike, seed: int = 0) -> GradientReport:
        """Verify BP1 to BP4, without dropout, against numerical derivatives; print(net.check(x, y)) shows a table.

        Parameters
        ----------
        x, y : a few samples, as for fit
        seed : int, default 0
            Of the random directions v.

        Returns
        -------
        GradientReport
            The error of an equation is |g . v - difference along v| / (|g| |v| / sqrt(size)) for its gradient g, the largest over
            layers and three directions. report.passed: all are at most 1e-7 in float64 and 2e-3 in float32, or more where outputs
            nearly equal the targets.

        Raises ValueError or TypeError as fit does, or if all samples lie on a kink, or if outputs equal targets up to rounding.

        >>> import numpy as np, gpubp
        >>> net = gpubp.Network([3, 4, 2], dtype="float64", seed=1)
        >>> net.check(np.eye(3), [[0, 1], [1, 0], [1, 1]]).passed
        True
        """
        from .gradient_check import check  # needed rarely
        return check(self, x, y, seed)

    memory = on_device(memory)
    save = on_device(packing.save)
    export = on_device(export)
