"""Handwritten digits: training, errors, vanishing gradients, overfitting.

The digits come with scikit-learn, which the extra `digits` installs.
"""

from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np

from ..circuits import elementwise_grad
from ..datasets import digits, split
from ..devices.cpu import blas
from ..devices.random import checked_seed
from ..layered.fit_all import fit_all
from ..layered.layers import Dropout
from ..layered.network import Network
from ..maths.activations import sigmoid
from ..maths.gradient_transforms import L2
from ..maths.optimizers import SGD
from ..plots import confusion_matrix, delta_norms, learning_curve, weights
from ..plots.figures import COLORS, Canvas

SIDE, CLASSES = 8, range(10)   # pixels across and down an image
TEST_SHARE, BATCH = 0.2, 10
SIZES, RATE, EPOCHS, TOLD = [64, 30, 10], 0.5, 10, (1, 2, 3, 5, 10)   # TOLD: epochs in the table
DEEP, DEEP_RATE = [64, 20, 20, 20, 20, 10], 0.1
FEW, MISLABELED, WIDE, FEW_RATE, FEW_EPOCHS = 200, 20, 60, 0.1, 80   # training digits, wrong labels, hidden neurons
PENALTY, DROPPED = 2.0, 0.5
WORST, IMAGES, DRAWN = 6, 3, 10   # digits drawn, digits in letters, neurons drawn
# NumPy and float64, also where there is a GPU: devices round differently, and training multiplies such differences
HOW: dict[str, Any] = {"output": "softmax", "cost": "cross-entropy", "device": "cpu:numpy", "dtype": "float64"}


def run(story, seed):
    # sums that do not depend on the number of threads, which would also wait for cores in use
    with blas.find().single_threaded() if blas.find() else nullcontext():
        return _told(story, checked_seed(seed))


def _told(story, seed):
    train, test = split(digits(), TEST_SHARE, seed)
    net = Network(SIZES, **HOW, seed=seed)
    _samples(story, net, train, test)
    _training(story, net, train, test)
    neuron = _neuron(story, net, test)
    speeds = _speeds(story, train, test, seed)
    worst = _worst(story, net, test)
    _confusion(story, net, test)
    return partial(_drawn, net, test, neuron, speeds, worst, _overfitting(story, train, test, seed))


def _samples(story, net, train, test):
    count = {kind: sum(value.size for name, value in net.parameters.items() if name[0] == kind) for kind in "wb"}
    story.heading(f"1. Digits in {train.features} numbers")
    story.paragraph(f"""
        It is hard to write a program that reads handwriting, but a network can learn it from examples. We have
        {len(train) + len(test):,} handwritten digits. Each is an image of {SIDE} x {SIDE} pixels, which are {train.features}
        numbers from {train.x.min():g} (paper) to {train.x.max():g} (ink). Here are the first {IMAGES} of them, with their labels:
        """)
    story.aside(_row([f"label {label}" for label in train.y[:IMAGES]], train.x[:IMAGES]))
    story.paragraph(f"""
        The network learns from {len(train):,} digits. The other {len(test)} are test digits: it never learns from them, so they
        show whether it reads digits that it has not seen.

        Its sizes are {SIZES}: {SIZES[0]} inputs, one for each pixel, {SIZES[1]} hidden neurons, and {SIZES[2]} outputs, the
        probabilities of the digits 0 to 9. Each neuron has a weight for each of its inputs, and a bias. These are {SIZES[0]} *
        {SIZES[1]} + {SIZES[1]} * {SIZES[2]} = {count["w"]:,} weights and {count["b"]} biases. At first they are random.
        """)


def _training(story, net, train, test):
    before = net.score(test.x, test.y)
    history = net.fit(train.x, train.y, optimizer=SGD(RATE), epochs=EPOCHS, batch_size=BATCH, validation=(test.x, test.y),
                      progress=False)
    wrong = int(np.sum(net.predict(test.x) != test.y))
    story.heading("2. Training")
    story.paragraph(f"""
        The cost is the mean of -log(probability of the right digit). One step of gradient descent follows the gradient of the
        cost of {BATCH} training digits, a mini-batch, with learning rate {RATE:g}. In an epoch of {-(-len(train) // BATCH)}
        steps, each training digit is used once. The training cost is the mean over the epoch, all else is measured after it:
        """)
    story.table(("epoch", "training cost", "accuracy", "test cost", "accuracy"),
                *((str(epoch), history.cost[epoch - 1], f"{history.accuracy[epoch - 1]:.1%}", history.validation_cost[epoch - 1],
                   f"{history.validation_accuracy[epoch - 1]:.1%}") for epoch in TOLD))
    story.paragraph(f"""
        Before training, {before:.1%} of the test digits were right. After {EPOCHS} epochs it is {net.score(test.x, test.y):.1%}:
        of {len(test)} digits that the network has never seen, {wrong} are wrong.
        """)


def _neuron(story, net, test):
    """The number of a hidden neuron, and the digit that it supports most."""
    incoming, outgoing = net.parameters["w1"], net.parameters["w2"]
    digit, neuron = map(int, np.unravel_index(np.argmax(outgoing), outgoing.shape))
    of_digit, a = test.y == digit, net.trace(test.x, test.y).a[1][:, neuron]
    means = [a[test.y == label].mean() for label in CLASSES]
    story.heading("3. What a hidden neuron looks for")
    story.paragraph(f"""
        The largest of the {outgoing.size} weights to the outputs is {outgoing.max():.2f}: with it, hidden neuron {neuron}
        supports the digit {digit}. The neuron's own {incoming.shape[1]} incoming weights form an image. Ink where there is a +
        excites the neuron, ink where there is a - inhibits it, and a doubled sign is a weight above half of the largest size.
        Beside it is the mean of the test digits with label {digit}:
        """)
    story.aside(_row([f"neuron {neuron}", f"mean {digit}"], [incoming[neuron], test.x[of_digit].mean(axis=0)], [_signs, _letter]))
    story.paragraph(f"""
        The mean activation of the neuron is {means[digit]:.2f} on the test digits with label {digit}, and
        {a[~of_digit].mean():.2f} on the others. The label with the highest mean is {np.argmax(means)}, with {max(means):.2f}.
        """)
    return neuron, digit


def _speeds(story, train, test, seed):
    """{activation: history} of two deep networks."""
    nets = {name: Network(DEEP, name, **HOW, seed=seed) for name in ("sigmoid", "relu")}
    columns, right = [], []
    for net in nets.values():
        for epochs in (0, EPOCHS):
            net.fit(train.x, train.y, optimizer=SGD(DEEP_RATE), epochs=epochs, batch_size=BATCH, progress=False)
            deltas: list[Any] = net.trace(train.x, train.y).delta[1:]
            columns.append([float(np.linalg.norm(delta, axis=1).mean()) for delta in deltas])
            right.append(f"{net.score(test.x, test.y):.1%}")
    ratios, z = [column[-1] / column[0] for column in columns], np.linspace(-5.0, 5.0, 101)
    later = [norms[-1] / norms[0] for norms in nets["sigmoid"].history.delta_norms]
    story.heading("4. Deep networks: vanishing gradients")
    story.paragraph(f"""
        Do more layers help? We train two networks with {len(DEEP) - 2} hidden layers, {DEEP}, one of sigmoid and one of relu
        neurons. delta, the derivative of the cost with respect to the weighted input z of a neuron, flows back from the last
        layer to the first. Each layer multiplies it by its weights and by the slope of its activation: for sigmoid at most
        {elementwise_grad(sigmoid)(z).max():g}, for relu 1 if the neuron is active. The length |delta| is the learning speed of a
        layer, here its mean over the training digits:
        """)
    story.table(("", *(cell for name in nets for cell in (name, ""))), ("layer", *("at the start", f"{EPOCHS} epochs") * 2),
                *((str(l), *(f"{speed:.5f}" for speed in row)) for l, row in enumerate(zip(*columns), 1)),
                ("last / first", *(f"{ratio:.3g}" for ratio in ratios)), ("test accuracy", *right))
    story.paragraph(f"""
        At the start the last sigmoid layer learns {ratios[0]:.3g} times as fast as the first, and in the last mini-batch of each
        epoch {min(later):.3g} to {max(later):.3g} times: the gradient vanishes on its way back. With relu it is {ratios[2]:.3g}
        times at the start. The first weights are made for relu, too: {nets["relu"].layers[0].initializer.formula} keeps |delta|
        at about the same size.
        """)
    return {name: net.history for name, net in nets.items()}


def _worst(story, net, test):
    """[(image, label, wrong digit, its probability)] of the digits with the highest probability of a wrong digit."""
    probabilities, own = net.feedforward(test.x), np.eye(len(CLASSES), dtype=bool)[test.y]
    wrong = np.where(own, 0.0, probabilities)
    found = np.argsort(-wrong.max(axis=1), kind="stable")[:WORST]
    labels, guesses, shares = test.y[found].tolist(), wrong[found].argmax(axis=1).tolist(), wrong[found].max(axis=1).tolist()
    story.heading("5. The most confidently wrong digits")
    story.paragraph(f"""
        Back to the first network. These {WORST} test digits got the highest probabilities of a wrong digit. Can you read the
        first {IMAGES}?
        """)
    story.table(("label", *map(str, labels)), ("wrong digit", *map(str, guesses)), ("its probability", *shares),
                ("of the label", *probabilities[own][found].tolist()))
    story.aside(_row([f"{label}, read as {guess}" for label, guess in zip(labels, guesses)][:IMAGES], test.x[found[:IMAGES]]))
    return list(zip(test.x[found], labels, guesses, shares))


def _confusion(story, net, test):
    counts = np.zeros((len(CLASSES),) * 2, np.int64)
    np.add.at(counts, (test.y, net.predict(test.x)), 1)
    pairs = np.triu(counts + counts.T, 1)
    i, j = map(int, np.unravel_index(np.argmax(pairs), pairs.shape))
    story.heading("6. Which digits are confused")
    story.paragraph("A row has the test digits with one label, a column those that the network reads as one digit:")
    story.table(("label", *map(str, CLASSES)),
                *((str(label), *(str(count or ".") for count in row)) for label, row in enumerate(counts.tolist())))
    story.paragraph(f"""
        The diagonal has the {np.trace(counts)} right ones. No pair is confused more often than {i} and {j}: it reads {i} as {j}
        in {counts[i, j]} cases, and {j} as {i} in {counts[j, i]}.
        """)


def _overfitting(story, train, test, seed):
    """{name: history} of three networks that learn from few digits, some with wrong labels."""
    few, _ = split(train, 1.0 - FEW / len(train), seed)
    random, labels = np.random.default_rng(seed), np.array(few.y)
    wrong = random.permutation(len(few))[:MISLABELED]
    labels[wrong] = (labels[wrong] + random.integers(1, len(CLASSES), len(wrong))) % len(CLASSES)
    hidden: dict[str, list[Any]] = {"plain": [WIDE], "L2": [WIDE], "dropout": [WIDE, Dropout(DROPPED)]}
    nets = [Network([SIZES[0], *layers, SIZES[-1]], "relu", **HOW, seed=seed) for layers in hidden.values()]
    histories: list[Any] = fit_all(
        nets, few.x, labels, each=[{}, {"optimizer": [L2(PENALTY), SGD(FEW_RATE)]}, {}], optimizer=SGD(FEW_RATE),
        epochs=FEW_EPOCHS, batch_size=BATCH, validation=(test.x, test.y), progress=False)
    costs, lows = zip(*((history.validation_cost[-1], min(history.validation_cost)) for history in histories))
    right = [history.validation_accuracy[-1] for history in histories]
    learned = [int(np.sum(net.predict(few.x[wrong]) == labels[wrong])) for net in nets]
    best = lambda values, value: " and ".join(name for name, one in zip(hidden, values) if one == value)
    story.heading("7. Overfitting, and two remedies")
    story.paragraph(f"""
        A network can learn a few examples by heart, with all their accidents. We train networks of {WIDE} hidden relu neurons for
        {FEW_EPOCHS} epochs on only {len(few)} digits, of which {len(wrong)} have a wrong label. L2 adds {PENALTY:g} / (2 *
        {len(few)}) times the sum of the squared weights to the cost, so that weights stay small. Dropout leaves out each hidden
        neuron with probability {DROPPED:g} in each step of training, so that no neuron can rely on another:
        """)
    story.table(("", *hidden), ("training cost", *(net.cost(few.x, labels) for net in nets)),
                ("training accuracy", *(f"{history.accuracy[-1]:.1%}" for history in histories)), ("test cost", *costs),
                ("test accuracy", *(f"{share:.1%}" for share in right)), ("lowest test cost", *lows),
                ("at epoch", *(str(history.validation_cost.index(low) + 1) for history, low in zip(histories, lows))),
                ("wrong labels learned", *(f"{count} of {len(wrong)}" for count in learned)))
    story.paragraph(f"""
        The plain network has learned {learned[0]} of the {len(wrong)} wrong labels, and its test cost ends
        {costs[0] / lows[0] - 1.0:.0%} above its lowest one: it overfits. The lowest test cost at the end:
        {best(costs, min(costs))}. The highest test accuracy: {best(right, max(right))}.
        """)
    return dict(zip(hidden, histories))


def _letter(ink, largest):
    return 2 * " .:*#"[round(4.0 * ink)]


def _signs(w, largest):
    """+ or -, doubled above half of the largest size; nothing below a sixth."""
    return "" if abs(w) < largest / 6.0 else ("+" if w > 0.0 else "-") * (2 if abs(w) > largest / 2.0 else 1)


def _row(titles, images, letters=(_letter,) * IMAGES):
    """Images in letters, two for each pixel, side by side under their titles."""
    blocks = [[title, *("".join(letter(x, abs(image).max()).ljust(2) for x in row) for row in image.reshape(SIDE, SIDE))]
              for title, image, letter in zip(titles, images, letters)]
    return "\n".join("".join(line.ljust(2 * SIDE + 6) for line in lines).rstrip() for lines in zip(*blocks))


def _drawn(net, test, neuron, speeds, worst, few, path=None):
    """The picture: training, weights, the worst digits, learning speeds of deep networks, confusion, and overfitting."""
    canvas = Canvas(path)
    chart = canvas.opened(10.4, 14.0)   # 832 pixels wide on a page, as its text
    rows = chart.subfigures(4, 1, height_ratios=(3.0, 2.9, 3.3, 4.8))
    learning_curve(net.history, figure=_titled(rows[0], "2. Training, with the test digits for validation"))
    left, right = rows[1].subfigures(1, 2)
    others = [j for j in range(SIZES[1]) if j != neuron[0]]
    weights(net, neurons=[neuron[0], *others][:DRAWN],
            figure=_titled(left, f"3. Weights: neuron {neuron[0]}, for the digit {neuron[1]}, and others"))
    _titled(right, "5. The most confidently wrong test digits")
    for axes, (x, label, digit, probability) in zip(right.subplots(2, WORST // 2).ravel(), worst):
        axes.imshow(x.reshape(SIDE, SIDE), "gray_r", vmin=0.0, vmax=1.0)
        axes.set(xticks=[], yticks=[])
        axes.set_title(f"{label}, read as {digit}: {probability:.0%}", fontsize=9)
    halves = rows[2].subfigures(1, 2)
    for half, (name, history) in zip(halves, speeds.items()):
        delta_norms(history, figure=_titled(half, f"4. Learning speeds: {name}"))
    limits = np.array([half.axes[0].get_ylim() for half in halves])
    for half in halves:
        half.axes[0].set_ylim(limits.min() / 5.0, limits.max())   # with room for the legend
        half.axes[0].legend(loc="lower center", ncols=3, fontsize=8)
    left, right = rows[3].subfigures(1, 2)
    confusion_matrix(test.y, net.predict(test.x), [*map(str, CLASSES)], figure=_titled(left, "6. Confusion of the test digits"))
    axes = _titled(right, "7. Overfitting: test cost; dotted: training cost").subplots()
    for color, (name, history) in zip(COLORS, few.items()):
        axes.plot(range(1, FEW_EPOCHS + 1), history.validation_cost, color=color, label=name)
        axes.plot(range(1, FEW_EPOCHS + 1), history.cost, ":", color=color)
    axes.set(xlabel="epoch", ylabel="cost", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend()
    # the layout takes longer than the drawing, so it is computed once for the picture and the page
    chart.get_layout_engine().execute(chart)
    chart.set_layout_engine("none")
    return canvas.saved()


def _titled(part, title):
    part.suptitle(title, fontsize=11, fontweight="bold")
    return part
