"""The benchmarks run, and the book's network learns MNIST as well as the book says."""

from pathlib import Path

import pytest

from benchmarks import mnist

MNIST = Path(__file__).parent.parent.parent / "shared" / "data" / "mnist.npz"


@pytest.mark.long
@pytest.mark.skipif(not MNIST.exists(), reason="MNIST (mnist.npz) is not on this machine")
def test_mnist_accuracy():
    assert mnist.run(MNIST, device="cpu")["best_accuracy"] >= mnist.GOALS["accuracy"]
