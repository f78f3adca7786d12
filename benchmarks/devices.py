"""A training step on every device present, side by side: medians over alternating rounds, and ratios within the run.

    python benchmarks/devices.py [--rounds 7]

Writes benchmarks/results/devices.json.
"""

import argparse
import json
import statistics
from pathlib import Path

import numpy as np

import gpubp
from gpubp.devices.cuda import why_no_cuda

SHAPES = [([784, 30, 10], 10), ([784, 100, 10], 64), ([784, 512, 512, 10], 128), ([64, 64, 64, 64, 64, 4], 65536),
          ([1024, 1024, 1024, 1024, 1024], 1024)]
ROUND = 0.3   # seconds, about


class Contender:
    """A network on a device, with data that make a few mini-batches."""

    def __init__(self, sizes, batch, device):
        random, rows = np.random.default_rng(1), 4 * batch
        self.x = random.random((rows, sizes[0]), dtype=np.float32)
        self.y = random.random((rows, sizes[-1]), dtype=np.float32)
        self.net, self.batch, self.epochs = gpubp.Network(sizes, device=device, seed=1), batch, 1
        self.seconds()
        self.epochs = max(1, round(ROUND / self.seconds() / 4))

    def seconds(self):
        """Seconds of a step, by the history's own clock, which waits for the device at the end of an epoch."""
        history = self.net.fit(self.x, self.y, optimizer="sgd(0.1)", epochs=self.epochs, batch_size=self.batch, progress=False)
        return sum(history.seconds[-self.epochs:]) / self.epochs / 4


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    reason = why_no_cuda(0)
    names = ["cpu"] if reason else ["cpu", "cuda"]
    if reason:
        print(f"no GPU: {reason}")
    results = []
    for sizes, batch in SHAPES:
        contenders = {name: Contender(sizes, batch, name) for name in names}
        times = {name: [] for name in names}
        for _ in range(rounds):
            for name, contender in contenders.items():
                times[name].append(contender.seconds())
        medians = {name: round(1e6 * statistics.median(found), 2) for name, found in times.items()}
        results.append({"layers": sizes, "batch": batch, "microseconds_per_step": medians})
        ratio = f"   cpu/cuda {medians['cpu'] / medians['cuda']:.2f}" if len(names) == 2 else ""
        print(f"{'-'.join(map(str, sizes)):<28} batch {batch:<6} {medians}{ratio}", flush=True)
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    (folder / "devices.json").write_text(json.dumps({"gpubp": gpubp.__version__, "rounds": rounds, "results": results}, indent=1)
                                         + "\n")


if __name__ == "__main__":
    main()
