"""Peers on a CPU: PyTorch compiled and without autograd, scikit-learn and HIPS autograd; gpu_peers.py has the others.

Each is written as an experienced user would write it for speed.
"""

import numpy as np

from benchmarks.gpu_peers import LeftOutError, Peer, TorchEager
from benchmarks.gpu_steps import Gpubp
from gpubp.devices import open_device


class Own(Gpubp):
    """gpubp on one of its devices."""

    def __init__(self, work, x, y, weights, device):
        try:
            ops = open_device(device)
        except (ValueError, RuntimeError) as error:
            raise LeftOutError(str(error)) from error
        super().__init__(work, ops.asarray(x), ops.asarray(y), ops, weights)


class TorchCompiled(TorchEager):
    """The whole step, with gradient and update, as one graph compiled by Inductor."""

    name = "torch.compile"

    def prepare(self):
        torch, rate, total = self.torch, self.optimizer.param_groups[0]["lr"], self.total
        weights = {name: parameter.detach() for name, parameter in self.module.named_parameters()}
        slope = torch.func.grad_and_value(lambda weights, rows: torch.func.functional_call(self.module, weights, (rows,)))

        def step(rows):
            gradient, cost = slope(weights, rows)
            for name, weight in weights.items():
                weight.sub_(gradient[name], alpha=rate)
            total.add_(cost)
        self.step = torch.compile(step, fullgraph=True, dynamic=False)
        self.restart()

    def epoch(self):
        with self.torch.no_grad():
            return super().epoch()


class TorchManual(TorchEager):
    """BP1 to BP4 for sigmoid layers and the quadratic cost, written out, in place, on preallocated buffers."""

    name = "PyTorch without autograd"

    def prepare(self):
        torch, sizes, batch = self.torch, [layer.in_features for layer in self.module.layers], self.order.shape[1]
        self.w, self.b = ([getattr(layer, name).detach() for layer in self.module.layers] for name in ("weight", "bias"))
        self.a = [torch.empty(batch, width) for width in [*sizes, len(self.b[-1])]]
        self.delta = [torch.empty_like(a) for a in self.a]
        self.targets, self.ones = torch.empty_like(self.a[-1]), torch.ones(batch)
        self.rate = self.optimizer.param_groups[0]["lr"] / batch
        self.cost_scale = 0.5 / batch
        self.restart()

    def step(self, rows):
        torch, w, b, a, delta = self.torch, self.w, self.b, self.a, self.delta
        torch.index_select(self.module.x, 0, rows, out=a[0])
        torch.index_select(self.module.y, 0, rows, out=self.targets)
        for l in range(len(w)):
            torch.addmm(b[l], a[l], w[l].t(), out=a[l + 1]).sigmoid_()
        torch.sub(a[-1], self.targets, out=delta[-1])
        flat = delta[-1].view(-1)
        self.total.add_(torch.dot(flat, flat), alpha=self.cost_scale)
        for l in range(len(w), 0, -1):
            torch.ops.aten.sigmoid_backward.grad_input(delta[l], a[l], grad_input=delta[l])
            if l > 1:
                torch.mm(delta[l], w[l - 1], out=delta[l - 1])
            w[l - 1].addmm_(delta[l].t(), a[l - 1], alpha=-self.rate)
            b[l - 1].addmv_(delta[l].t(), self.ones, alpha=-self.rate)


class Autograd(Peer):
    """HIPS autograd on plain NumPy."""

    name = "HIPS autograd"

    def __init__(self, work, x, y, weights, device):
        import autograd.numpy as anp
        from autograd import value_and_grad

        def cost(weights, a, y):
            for w, b in zip(weights[::2], weights[1::2]):
                a = 0.5 * anp.tanh(0.5 * (anp.dot(a, w.T) + b)) + 0.5
            return 0.5 / work.batch * anp.sum((a - y) ** 2)
        self.slope, self.initial, self.rate, self.x, self.y = value_and_grad(cost), weights, work.rate, x, y
        self.batches = list(np.arange(len(x)).reshape(work.steps, work.batch))
        self.restart()
        self.begin(work.steps)

    def restart(self):
        self.weights = [weight.copy() for weight in self.initial]

    def epoch(self):
        total = 0.0
        for rows in self.batches:
            cost, gradient = self.slope(self.weights, self.x[rows], self.y[rows])
            for weight, g in zip(self.weights, gradient):
                weight -= self.rate * g
            total += cost
        return float(total) / self.steps


class ScikitLearn(Peer):
    """MLPRegressor, whose output layer is the identity: the same products, one sigmoid less, and another cost."""

    name = "scikit-learn"

    def __init__(self, work, x, y, weights, device):
        from sklearn.neural_network import MLPRegressor

        self.net = MLPRegressor(hidden_layer_sizes=work.sizes[1:-1], activation="logistic", solver="sgd", alpha=0.0,
                                batch_size=work.batch, learning_rate_init=work.rate, momentum=0.0, shuffle=False, random_state=1)
        self.x, self.y, self.initial = x, y, weights
        self.epoch()
        self.begin(work.steps)

    def restart(self):
        for place, value in zip(self.net.coefs_ + self.net.intercepts_, self.initial[::2] + self.initial[1::2]):
            place[...] = value.T

    def epoch(self):
        """scikit-learn averages the cost over the outputs, the others sum it."""
        return float(self.net.partial_fit(self.x, self.y).loss_curve_[-1] * self.y.shape[1])
