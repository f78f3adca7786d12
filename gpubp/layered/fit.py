"""Network.fit: checks the arguments and runs the loop over the epochs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

from numpy.typing import ArrayLike

from ..maths.gradient_transforms import Chain
from ..maths.optimizers import OptimizerPart
from . import input_checks
from .epoch_loop import EpochLoop, progress_bar
from .fit_arguments import FitArguments
from .hints import warn
from .history import History
from .interrupt import Interrupt

if TYPE_CHECKING:
    from mpi4py import MPI


def fit(network: Any, x: ArrayLike, y: ArrayLike, *,
        optimizer: str | OptimizerPart | Chain | Sequence[str | OptimizerPart] | None = None, epochs: int = 30,
        batch_size: int | Literal["auto"] | None = "auto", validation: tuple[ArrayLike, ArrayLike] | None = None,
        sample_weight: ArrayLike | None = None, samples_per_epoch: int | None = None, shuffle: bool = True,
        patience: int | None = None, monitor: Literal["cost", "accuracy"] = "cost",
        callbacks: Callable[[Any], Any] | Sequence[Callable[[Any], Any]] = (), progress: bool | None = None,
        checkpoint: str | PathLike | None = None, every: int | str | None = None, comm: MPI.Intracomm | None = None,
        partitioned: bool = False, reduction: Literal["tree", "fast"] = "tree", gpu_aware_mpi: bool = False) -> History:
    """Train by mini-batch gradient descent; returns net.history.

    Parameters
    ----------
    x : array (n, inputs) of real numbers
        NumPy (memory-mapped arrays too), CuPy, PyTorch, JAX, or anything that supports DLPack.
    y : integer labels (n,) counted from 0, or targets (n, outputs)
    optimizer : object, text such as "adam(0.001)", or list such as [ClipNorm(1.0), L2(5.0), SGD(0.5)]
        A text has names with numbers in parentheses, separated by commas: "clip_norm(1), adam(cosine(0.001, epochs=30))".
        None continues with the network's own optimizer and its state (SGD(0.1) at first), bitwise as if training had never
        stopped; with the same data, batch_size and samples_per_epoch even in the middle of an epoch.
    epochs : int, default 30
        How many more epochs to train; the rest of an interrupted epoch counts as one.
    batch_size : int, "auto" or None
        Rows of a mini-batch: "auto" is 10, or n where there are fewer; None is the whole training set. The last mini-batch of
        an epoch may be shorter.
    validation : (x, y), arrays (m, inputs) and labels (m,) or targets (m, outputs), optional
        Their cost and score are measured after each epoch. Both sets decide net.task, unless it is known, see Network.
    sample_weight : array (n,) of numbers >= 0, optional
        Factors of the samples' costs.
    samples_per_epoch : int, optional
        Each epoch draws this many samples at random; default is all n.
    shuffle : bool, default True
        Draw a new order of the samples for each epoch, from net.seed.
    patience : int, optional
        Early stopping: stop after this many epochs without a better value of monitor. At its end, unless Ctrl-C interrupted it,
        fit restores the best parameters. Later fits without an optimizer but with the same data (of which some rows are
        compared), mini-batches, validation, monitor and patience belong to the same run, also after save or copy. The run goes
        on from the parameters of its last epoch, bitwise as if it had been one fit; once patience has run out, it trains no
        further. If one of these arguments differs, or you have changed the parameters, another run starts from net.vector.
    monitor : "cost" or "accuracy", default "cost"
        The figure of the validation set that early stopping watches ("accuracy" is the score: R^2 for a regression).
    callbacks : function or functions of the network, default none
        Called after each epoch; a true result stops training.
    progress : bool, optional
        Show a progress bar; None shows it on a terminal.
    checkpoint : str or path-like, optional
        A file to which the network is saved during training, and at its end unless an error ends it; a saved network of that
        name is replaced. The previous checkpoint of "run.npz" is kept as "run.previous.npz". If training is killed, load the file
        and call fit with the same data and arguments, but without an optimizer and for the epochs that are left: the result is
        bitwise the same. A checkpoint that cannot be written is a warning. In the main thread, SIGTERM and SIGHUP, unless you
        handle them, end the process after the steps under way and a checkpoint.
    every : int or str, optional
        How often a checkpoint is written: a number of epochs, or a time such as "30 s", "5 min" or "1 h". None is after each
        epoch, but at most once a second.
    comm : mpi4py communicator such as MPI.COMM_WORLD, optional
        Train on all its ranks, which call fit with the same arguments; each computes its part of every mini-batch, and all get
        the same network. Callbacks, the progress bar and checkpoints run on rank 0. If a callback changes the parameters, all
        ranks get them; other changes stay on rank 0. See gpubp/parallel/README.md.
    partitioned : bool, default False
        With comm: each rank has its own samples, x, y and sample_weight, and the same validation set. n is the number of samples
        of all ranks. An epoch takes as many from each rank, and at most as many as the rank with the fewest has; so batch_size
        and samples_per_epoch must be multiples of the number of ranks, and "auto" is one. Accuracy is measured on samples of all
        ranks; net.standardization is that of rank 0.
    reduction : "tree" or "fast", default "tree"
        With comm: "tree" sums gradients so that the result depends neither on the number of ranks nor on their threads; it is
        fastest with 2, 4, 8, ... ranks. "fast" computes the rows of a rank together and sums by the all-reduce of the MPI
        library; its result depends on the number of ranks, on their threads and on the library.
    gpu_aware_mpi : bool, default False
        With comm, on GPUs for which NCCL is not available: give MPI the addresses of device memory, which an MPI library must be
        made for. Else the gradient passes through the host.

    Raises
    ------
    ValueError, TypeError
        An argument is not as described; nothing has been changed.
    OSError
        The checkpoint's folder cannot be written to, or its name is not that of a regular file; nothing has been changed.
    TrainingError
        A cost or parameter became infinite or NaN; the network holds its last good parameters.
    RuntimeError
        A callback trains the network that is being trained, or another thread uses it: train a net.copy() there. Until fit has
        ended, calls of other threads raise, too; callbacks may use the network. Or the device is "cpu:compiled", and a program
        could not be compiled; "cpu" trains with NumPy then.
    RankError
        A RuntimeError with comm: another rank has failed or died, and the text says which and why.
    MemoryError
        The device is out of memory; net.memory predicts what fit takes.

    The first fit warns once about features or targets of a size that is hard to learn; arrays on a GPU are not looked at.
    Ctrl-C ends training after the steps under way (at most about 20 ms) and keeps what was learned.

    >>> import numpy as np, gpubp
    >>> x, y = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.array([0, 0, 0, 1])   # the AND gate
    >>> net = gpubp.Network([2, 2], output="softmax", cost="cross-entropy", seed=1)
    >>> history = net.fit(x, y, optimizer=gpubp.SGD(1.0), epochs=100, batch_size=None)
    >>> net.predict(x).tolist(), net.score(x, y), len(history)
    ([0, 0, 0, 1], 1.0, 100)
    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/run.npz"
    >>> history = net.fit(x, y, epochs=20, batch_size=None, checkpoint=path, every="30 s")
    >>> gpubp.load(path).epoch
    120
    """
    with nullcontext() if comm is None else _ranks(comm, partitioned, reduction, gpu_aware_mpi) as ranks:
        first = ranks is None or ranks.rank == 0
        arguments = FitArguments(network, x, y, validation, sample_weight, optimizer, callbacks, checkpoint, every, ranks=ranks,
                                 epochs=epochs, batch_size=batch_size, samples_per_epoch=samples_per_epoch, shuffle=shuffle,
                                 patience=patience, monitor=monitor, progress=progress)
        if first and network.epoch == 0 and network.training_state is None:
            warn(network, *(input_checks.array_of(network, array, name) for array, name in ((x, "x"), (y, "y"))))
        loop = EpochLoop(network, arguments, (x, y, sample_weight) if ranks is None else None)
        bar = progress_bar(arguments.steps, progress if first else False)
        with Interrupt(ending=checkpoint is not None) as interrupt, bar:
            loop.run(interrupt, bar)
            if ranks:
                ranks.leave()   # before a signal that has come ends this process
    return network.history


def _ranks(*arguments):
    from ..parallel.ranks import Ranks  # few programs need it

    return Ranks(*arguments)
