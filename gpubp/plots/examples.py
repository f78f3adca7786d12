"""A short program for each plot, for a gallery of them."""

from typing import Any

_RINGS = '''import numpy as np, gpubp
x = np.random.default_rng(1).standard_normal((200, 2))
y = np.digitize(np.hypot(*x.T), [0.8, 1.5])   # a disc and two rings
net = gpubp.Network([2, 16, 3], activation="tanh", cost="cross-entropy", seed=1)
'''
_DIGITS = '''import gpubp
train, test = gpubp.datasets.split(gpubp.datasets.digits(), 0.2, seed=1)
net = gpubp.Network([64, 30, 10], cost="cross-entropy", seed=1)
'''

EXAMPLES = {
    "learning_curve": _DIGITS + '''net.fit(train.x, train.y, optimizer="sgd(0.5)", epochs=20, validation=(test.x, test.y))
figure = gpubp.plots.learning_curve(net.history)''',
    "delta_norms": '''import gpubp
digits = gpubp.datasets.digits()
net = gpubp.Network([64, 30, 30, 30, 10], seed=1)   # the gradient vanishes towards the first layer
figure = gpubp.plots.delta_norms(net.fit(digits.x, digits.y, optimizer="sgd(0.1)", epochs=20))''',
    "search": '''import numpy as np, gpubp
x = np.random.default_rng(1).standard_normal((120, 2))
space = {"hidden": [[2], [4], [8]], "learning_rate": [0.03, 0.3, 3.0]}
result = gpubp.search(space, x, (x[:, 0] * x[:, 1] > 0).astype(int), folds=3, epochs=9, refit=False, seed=1)
figure = gpubp.plots.search(result)''',
    "decision_boundary": _RINGS + '''net.fit(x, y, optimizer="adam(0.02)", epochs=40)
figure = gpubp.plots.decision_boundary(net, x, y)''',
    "confusion_matrix": _DIGITS + '''net.fit(train.x, train.y, optimizer="sgd(0.5)", epochs=10)
figure = gpubp.plots.confusion_matrix(test.y, net.predict(test.x))''',
    "weights": _DIGITS + '''net.fit(train.x, train.y, optimizer="l2(2), sgd(0.5)", epochs=20)
figure = gpubp.plots.weights(net, neurons=range(15))''',
    "activations": '''import numpy as np, gpubp
x = np.random.default_rng(1).standard_normal((500, 50))
net = gpubp.Network([50, 50, 50, 50], activation="tanh", initializer="nielsen", seed=1)
net.parameters["w2"][...] *= 4.0   # too large: layer 2 saturates
figure = gpubp.plots.activations(net, x)''',
    "cost_surface": _RINGS + '''path = [net.vector.copy()]
net.fit(x, y, optimizer="adam(0.01)", epochs=30, callbacks=lambda net: path.append(net.vector.copy()))
figure = gpubp.plots.cost_surface(net, x, y, trajectory=path)'''}


def draw(code: str) -> Any:
    """The figure that an example assigns."""
    names: dict[str, Any] = {}
    exec(code, names)
    return names["figure"]
