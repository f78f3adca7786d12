"""What the tests run on several ranks: mpiexec -n 2 python -m tests.parallel.runs NAME ARGUMENTS. Rank 0 prints JSON."""

import hashlib
import json
import os
import signal
import socket
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import gpubp
from gpubp.devices.cuda import cuda_ops
from gpubp.devices.cuda import nccl as cuda_nccl
from gpubp.layered import epoch_loop, fit_arguments
from gpubp.layered.checkpoint import Checkpoint
from gpubp.layered.training_run import TrainingRun
from gpubp.parallel import ranks, watch
from tests.conftest import device

COMM: Any = None   # MPI.COMM_WORLD, and this process's rank in it
RANK = 0


def digest(*values):
    texts = (value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode() for value in values)
    return hashlib.sha256(b"".join(texts)).hexdigest()[:16]


def state(net):
    """A digest of all that must not depend on the number of ranks: parameters, state of the optimizer, and history."""
    history, host = net.history, net.ops.to_numpy
    return digest(host(net.vector), *map(host, net.training_state.vectors), history.cost, history.accuracy, history.gradient_norm,
                  history.delta_norms, history.validation_cost, history.validation_accuracy, history.stopped)


def configuration(number, ops, dtype):
    """(network, x, y, options of fit) drawn at random from a number."""
    draw = np.random.default_rng(number)
    choose = lambda *values: values[draw.integers(len(values))]
    n, outputs = int(draw.integers(1, 300)), choose(1, 3, 10)
    labels = outputs > 1 and bool(draw.integers(2))
    layers = [5]
    wide = number % 10 == 9   # so that a BLAS would use several threads
    for _ in range(draw.integers(0, 3)):
        layers += [gpubp.Dropout(choose(0.1, 0.5))] * int(draw.integers(2)) + [300 if wide else int(choose(3, 17, 64, 200))]
    cost = choose("cross-entropy", "quadratic") if labels else "quadratic"
    precision = "exact" if ops.on_host or dtype == "float64" else ("float16", "bfloat16")[number % 2]
    net = gpubp.Network([*layers, outputs], activation=choose("sigmoid", "tanh", "relu", "gelu"), cost=cost, dtype=dtype,
                        precision=precision, output="softmax" if labels and draw.integers(2) else None, seed=number, device=ops)
    x, m = draw.standard_normal((n, 5)), int(draw.integers(1, 50))
    y = draw.integers(outputs, size=n) if labels else draw.random((n, outputs))
    options = {"optimizer": choose("sgd(0.1)", "clip_norm(0.1), adam(0.01)", "l2(0.1), sgd(0.2, momentum=0.9)", "rmsprop(0.01)"),
               "epochs": 2, "batch_size": choose(1, 7, 32, 100, 256, None), "shuffle": bool(draw.integers(4)), "progress": False}
    if options["batch_size"] is not None:
        options["batch_size"] = min(options["batch_size"], n)
    if draw.integers(2):
        options["validation"] = x[:m], y[:m]
    if draw.integers(3) == 0:
        options["sample_weight"] = draw.random(n)
    return net, x, y, options


def configurations(count, name, *flags):
    """The states of random configurations on a device, {"dtype number": digest}, with some flags of fit."""
    found, stand_in = {}, None
    if "nccl" in flags:   # each rank takes the GPU for its own
        from tests.parallel import nccl

        stand_in = nccl.stand_in(COMM.Dup())
        cuda_nccl.load, cuda_ops.load_nccl = (lambda: stand_in), (lambda: stand_in)
        ranks.Ranks.open_nccl = lambda self, ops: setattr(self, "nccl", ops.nccl(ops, b"number", self.size, self.rank))
    for dtype in "float32", "float64":
        for number in range(int(count)):
            net, x, y, options = configuration(number, device(name), dtype)
            net.fit(x, y, comm=COMM, **options, **{flag: True for flag in flags if flag != "nccl"})
            found[f"{dtype} {number}"] = state(net)
            assert len({*COMM.allgather(digest(net.ops.to_numpy(net.vector)))}) == 1, "ranks differ"
    if stand_in:
        assert stand_in.calls > 0
    return found


def samples(n=200):
    draw = np.random.default_rng(0)
    x = draw.standard_normal((n, 6))
    return x, (x @ draw.standard_normal((6, 3))).argmax(axis=1)


def made(**options):
    return gpubp.Network([6, gpubp.Dropout(0.2), 12, 3], **{
        "cost": "cross-entropy", "activation": "tanh", "seed": 1, "device": "cpu:numpy", **options})


def interrupt_in_step(number):
    """Send this process Ctrl-C when it has made that many steps, each of which is a burst."""
    epoch_loop.MAX_BURST_SECONDS = 0.0
    at_step(number, lambda: signal.raise_signal(signal.SIGINT))


def at_step(number, act):
    """Call act() when this process has made that many steps."""
    count, left = TrainingRun.count, [number]

    def counting(run, times):
        count(run, times)
        left[0] -= times
        if left[0] <= 0 < left[0] + times:
            act()
    TrainingRun.count = counting


def continued(path, epochs, patience="0"):
    """Train a saved network, or a new one, for some more epochs, and save it; stops within an epoch if epochs is not whole."""
    x, y = samples()
    begun = os.path.exists(path)
    net = gpubp.load(path, device="cpu:numpy") if begun else made()
    whole = int(float(epochs))
    if float(epochs) > whole and COMM.Get_size() - 1 == RANK:
        interrupt_in_step(5 * whole + 2)
    net.fit(x, y, optimizer=None if begun else "adam(0.01)", epochs=whole + (float(epochs) > whole), batch_size=48,
            validation=(x[:60], y[:60]), patience=int(patience) or None, progress=False, comm=COMM)
    COMM.Barrier()
    if RANK == 0:
        net.save(path)
    return {"state": state(net), "epoch": net.epoch, "batch": net.training_state.batch, "stopped": net.history.stopped}


def partitioned(folder, reduction="tree"):
    """Each rank has its own samples, of other numbers, memory-mapped."""
    x, y = samples(400)
    size = COMM.Get_size()
    mine = slice(RANK, None, size) if RANK else slice(0, 150)
    np.save(f"{folder}/{RANK}.npy", x[mine])
    mapped = np.load(f"{folder}/{RANK}.npy", mmap_mode="r")
    net = made(standardize=True)
    history = net.fit(mapped, y[mine], epochs=8, batch_size=12 * size, optimizer="adam(0.02)", comm=COMM, partitioned=True,
                      validation=(x, y), sample_weight=np.ones(len(mapped)), reduction=reduction, progress=False)
    equal = len({*COMM.allgather(state(net))}) == 1
    return {"equal": equal, "score": net.score(x, y), "accuracy": history.accuracy[-1], "state": state(net)}


def fast():
    """The largest difference that reduction="fast" makes."""
    largest = 0.0
    for number in range(20):
        vectors = []
        for reduction in "tree", "fast":
            net, x, y, options = configuration(number, device("cpu"), "float64")
            net.fit(x, y, comm=COMM, reduction=reduction, **options)
            vectors.append(net.vector)
        largest = max(largest, float(abs(vectors[0] - vectors[1]).max()))
    return {"largest": largest}


def arguments():
    """What fit says of arguments of wrong types."""
    said = {}
    for name, value in {"reduction": "slow", "partitioned": "yes", "gpu_aware_mpi": 1}.items():
        try:
            made().fit(*samples(), comm=COMM, **{name: value})
        except (TypeError, ValueError) as error:
            said[name] = f"{type(error).__name__}: {error}"
    return said


def warned(net):
    """The warnings of a fit on each rank."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        net.fit(*samples(), epochs=2, comm=COMM, progress=False)
    return COMM.allgather([str(warning.message) for warning in caught])


def unreachable():
    """Rank 2 cannot connect with rank 0."""
    def fails(*arguments):
        raise OSError("no way")
    if RANK == 2:
        socket.create_connection = fails
    watch.CONNECT_SECONDS, net = 0.5, made()
    said = warned(net)
    return {"said": said, "equal": len({*COMM.allgather(state(net))}) == 1}


def late():
    """Rank 1 calls fit later."""
    ranks.ARRIVAL_SECONDS = 0.2
    COMM.Barrier()
    if RANK == 1:
        time.sleep(1.0)
    return {"said": warned(made())}


def drifts():
    """The parameters of rank 1 change after a step, as if it computed differently."""
    x, y = samples()
    net = made()
    if RANK == 1:
        at_step(6, lambda: net.vector.__setitem__(3, np.nextafter(net.vector[3], np.float32(1))))
    try:
        net.fit(x, y, epochs=3, batch_size=50, comm=COMM, progress=False)
        said = None
    except RuntimeError as error:
        said = f"{type(error).__name__}: {error}"
    return {"said": COMM.allgather(said)}


def callbacks(name="cpu"):
    """Callbacks run on rank 0 only; what they do to the parameters reaches all ranks, and so does their answer."""
    x, y = samples()
    net, seen = made(device=device(name)), []

    def callback(net):
        seen.append(net.epoch)
        net.vector *= 0.5
        return net.epoch == 3
    net.fit(x, y, epochs=9, batch_size=50, comm=COMM, progress=True, callbacks=callback if RANK == 0 else ())
    return {"seen": COMM.allgather(seen), "states": COMM.allgather(state(net)), "epoch": net.epoch}


def told(**answer):
    """Print the answer of each rank by itself, since they may be unable to speak with each other; end when all have told."""
    print(json.dumps({"rank": RANK, **answer}), flush=True)
    Path(os.environ["GPUBP_TOLD"], str(RANK)).touch()
    late = time.monotonic() + 3.0
    while len(os.listdir(os.environ["GPUBP_TOLD"])) < COMM.Get_size() and time.monotonic() < late:
        time.sleep(0.01)
    os._exit(0)


def refused(what):
    """What each rank says when rank 1 has something else, and whether its network is as before."""
    x, y = samples()
    options, network, mine = {"epochs": 2, "batch_size": 50}, {}, RANK == 1
    if what == "validation x":
        options["validation"] = x[:5] + mine, y[:5]
    elif what == "sample_weight":
        options["sample_weight"] = np.full(len(x), 1.0 + mine)
    elif mine:
        x, (row, column) = x.copy(), (77, 3)
        others = {"batch_size": 51, "samples_per_epoch": 51, "epochs": 51, "shuffle": False, "optimizer": "sgd(0.2)",
                  "reduction": "fast"}
        options.update({name: value for name, value in others.items() if name == what})
        network.update({name: value for name, value in (("seed", 2), ("activation", "relu")) if name == what})
        x[row, column] = {"x": 1.0, "nan": np.nan}.get(what, x[row, column])
        y = (y + 1) % 3 if what == "y" else y
        x, y = (x[:-1], y[:-1]) if what == "rows" else (x[:, :-1], y) if what == "columns" else (x, y)
        fit_arguments.version = lambda: "0.0" if what == "version of gpubp" else "0.1"
    else:
        fit_arguments.version = lambda: "0.1"
    net = made(**network)
    if RANK == 1 and what == "parameters":
        net.vector[0] += 1
    before = net.vector.copy()
    try:
        net.fit(x, y, comm=COMM, progress=False, **options)
        said = None
    except (ValueError, RuntimeError) as error:
        said = f"{type(error).__name__}: {error}"
    told(said=said, unchanged=bool((net.vector == before).all()) and net.training_state is None)


def fails(how, rank, at):
    """One rank fails during an epoch, by an exception, by a signal, or as if it were killed: its connections end, and it computes
    no more. The others say why they end."""
    x, y = samples(2000)
    net, rank = made(), int(rank)

    def act():
        if how == "raise":
            raise MemoryError("no memory here")
        if how == "dies":
            watches[0].over = True   # its thread says nothing, either
            for peer in [*watches[0].peers.values()]:
                peer.shutdown(socket.SHUT_RDWR)
            time.sleep(60.0)
        os.kill(os.getpid(), getattr(signal, how))
    watches = []
    ranks.Watch = lambda *given: watches.append(watch.Watch(*given)) or watches[0]
    if rank == RANK:
        signal.signal(signal.SIGALRM, lambda *_: act())
        at_step(1, lambda: signal.setitimer(signal.ITIMER_REAL, float(at)))
    try:
        net.fit(x, y, epochs=10**6, batch_size=100, comm=COMM, progress=False)
        said = net.history.stopped
    except (RuntimeError, MemoryError) as error:
        said = f"{type(error).__name__}: {error}"
    told(said=said, epoch=net.epoch)


def recovers(path):
    """Rank 1 calls fit with an invalid x; all catch their errors, train again, and rank 0 saves the network later."""
    x, y = samples()
    net, said = made(), []
    for number in range(2):
        try:
            net.fit(x[:, :-1] if RANK == 1 and number == 0 else x, y, epochs=1, comm=COMM, progress=False)
        except (ValueError, RuntimeError) as error:
            said.append(type(error).__name__)
    if RANK == 0:
        time.sleep(1.0)
        net.save(path)
    return {"said": COMM.allgather(said)}


def saves_afterwards(path):
    """A callback on rank 0 raises, and rank 0 saves the network while the others end."""
    x, y = samples()
    net = made()

    def callback(net):
        raise OSError("no space")
    try:
        net.fit(x, y, epochs=3, comm=COMM, progress=False, callbacks=callback)
    except OSError:
        time.sleep(1.0)
        net.save(path)


def nests():
    """A callback trains on the communicator that trains."""
    try:
        made().fit(*samples(), epochs=2, comm=COMM, progress=False,
                   callbacks=lambda net: made().fit(*samples(), comm=COMM, progress=False))
    except RuntimeError as error:
        told(said=f"{type(error).__name__}: {error}")


def terminated(path):
    """Rank 1 gets SIGTERM, and the last checkpoint, which rank 0 writes, takes long."""
    save = Checkpoint.save
    Checkpoint.save = lambda self, last=False: (time.sleep(1.0 if last else 0.0), save(self, last))
    if RANK == 1:
        at_step(30, lambda: signal.raise_signal(signal.SIGTERM))
    made().fit(*samples(), epochs=10**6, batch_size=50, comm=COMM, progress=False, checkpoint=path, every="1 h")


def diverges(own):
    """A cost that becomes infinite is the same error on all ranks, which names the sample."""
    x, y = samples()
    net = gpubp.Network([6, 8, 1], activation="relu", output="identity", seed=1, device="cpu:numpy")
    y = y.astype(float)
    y[123] = 1e38
    net_options = {"epochs": 3, "batch_size": 40, "comm": COMM, "progress": False, "partitioned": own == "own",
                   "optimizer": "sgd(1e3)"}
    mine = slice(RANK, None, COMM.Get_size()) if own == "own" else slice(None)
    try:
        net.fit(x[mine], y[mine], **net_options)
        said = None
    except gpubp.TrainingError as error:
        said = str(error)
    return {"said": COMM.allgather(said), "states": COMM.allgather(digest(net.vector)),
            "finite": bool(np.isfinite(net.vector).all())}


def trained(path, seconds):
    """Train for so long that somebody must end it, with a checkpoint after each epoch."""
    x, y = samples(1000)
    net = gpubp.load(path, device="cpu:numpy") if os.path.exists(path) else made()
    print(json.dumps({"rank": RANK, "process": os.getpid()}), flush=True)
    net.fit(x, y, epochs=10**6, batch_size=100, comm=COMM, progress=False, checkpoint=path, every="0.05 s",
            callbacks=lambda net: time.monotonic() > begun + float(seconds))
    return {"epoch": net.epoch}


if __name__ == "__main__":
    from mpi4py import MPI  # which starts MPI

    COMM, RANK = MPI.COMM_WORLD, MPI.COMM_WORLD.Get_rank()
    begun = time.monotonic()
    result = globals()[sys.argv[1]](*sys.argv[2:])
    if RANK == 0 and result is not None:
        print(json.dumps(result), flush=True)
