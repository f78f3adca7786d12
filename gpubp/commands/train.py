"""gpubp train: train a network on a file or on the digits, save it with its learning curve, and resume training."""

import os
import re
import shlex
import signal
import sys
from pathlib import Path

from .. import datasets, plots
from ..datasets.loading import unknown_note
from ..layered.divergence import TrainingError
from ..layered.history import StopReason
from ..layered.interrupt import Interrupt
from ..layered.network import Network
from ..layered.packing import holds_network
from ..parallel import RankError, all_ranks, own_device
from ..plots.figures import checked_path
from . import outputs, samples, train_defaults
from .outputs import check_free, first_free, holds_picture, rescue, save_as_first_free

# options that determine the network and its validation samples; --resume cannot change them
FIXED = ("target", "ignore", "task", *samples.OPTIONS, "layers", "hidden", "activation", "output", "cost", "dropout", "seed",
         "dtype", "precision", "hold_back")
ENDING = re.compile(r"(\.(csv|tsv|txt|npz))?(\.(gz|bz2|xz|zip))?$", re.IGNORECASE)   # of data, not of its network


def run(args):
    if not args.parallel:
        return train(args)
    with all_ranks() as comm:
        args.device = own_device(comm, args.device or "auto")
        return train(args, comm)


def train(args, comm=None):
    """Train, on all ranks of an MPI communicator if one is given, of which only rank 0 prints and writes files."""
    leads = comm is None or comm.Get_rank() == 0
    say = outputs.say if leads and not args.quiet else (lambda *words: None)
    train_defaults.check(args)
    network, data, run_metadata = _resumed(args) if args.resume else _begun(args)
    train, validation = _parts(data, run_metadata["hold_back"], network.seed)
    if leads:
        check_destinations(args, data)
    target_scaling = samples.target_scaling(network) if data.classes is None else (lambda y: y)
    epochs, optimizer, batch_size = train_defaults.schedule(args, network, run_metadata, len(train))
    _introduce(say, args, network, train, validation, optimizer or network.training_state.chain, batch_size, run_metadata)
    before, device = sum(network.history.seconds), network.device_choice
    with Interrupt() as interrupt:   # the first signal stops training, but no saving
        try:
            history = network.fit(
                train.x, target_scaling(train.y), optimizer=optimizer, epochs=epochs - network.epoch, batch_size=batch_size,
                validation=validation and (validation.x, target_scaling(validation.y)), patience=run_metadata["patience"],
                progress=False if args.quiet else None, checkpoint=args.checkpoint, every=args.every, comm=comm)
        except (TrainingError, RankError) as error:
            if leads:
                diverged = isinstance(error, TrainingError)
                say("saved", f"{save_network(args, data, network, diverged)}, with the last {'finite ' * diverged}parameters")
            raise
        if not leads:
            return 0
        save = save_network(args, data, network)
    if network.device_choice != device:
        say("device", f"{network.ops.name} ({network.device_choice.reason})")
    if history.stopped:
        say("stopped", history.stopped)
    if interrupt.requested or (comm and history.stop_reason == StopReason.INTERRUPTED):   # on any rank
        say("saved", save)
        if history.stop_reason == StopReason.INTERRUPTED:
            say("resume", f"gpubp train --resume {shlex.quote(str(save))}")
        return 128 + (interrupt.requested or signal.SIGINT)
    seconds = sum(history.seconds) - before
    print_scores(say, network, target_scaling, train, validation, data.test,
                  f"after {network.epoch} epochs, {seconds:.1f} s of training")
    say("saved", save)
    draw(say, plots.learning_curve, history, picture_path(args, save))
    return 0


def draw(say, plot, subject, picture):
    """Draw plot(subject, picture) for a network that is already saved, so that it is no failure if that cannot be done."""
    if picture is not None:
        try:
            plot(subject, picture)
            say("picture", picture)
        except ImportError as error:
            say("picture", f"none: {error}")
        except OSError as error:
            say("picture", f"none: {picture}: {error.strerror or error}")


def read(args):
    """The Data that DATA and its options describe, or the digits."""
    if args.data is not None:
        return datasets.load(args.data, args.target, args.ignore or (), args.task or "auto", **samples.table_options(args))
    stray = next((name for name in ("target", "ignore", "task", *samples.OPTIONS) if getattr(args, name) is not None), None)
    if stray:
        raise ValueError(f"--{stray} describes DATA, got no DATA: give a file to train on")
    return datasets.digits()


def _begun(args):
    """(a new network, its data, the metadata of this run)."""
    data, seed = read(args), 1 if args.seed is None else args.seed
    hold_back = 0.2 if args.hold_back is None else args.hold_back
    train, _ = _parts(data, hold_back, seed)
    data = data.scaled(train.scaled().scaling)
    activation, output, cost = train_defaults.words(args, data)
    network = Network(train_defaults.layers(args, data, cost), activation=activation, output=output, cost=cost, seed=seed,
                      device=args.device or "auto", dtype=args.dtype or "float32", precision=args.precision or "exact",
                      task=data.task)
    target_scaling = train_defaults.target_scaling(network, train)
    run_metadata = {"path": args.data and recorded(args.data), "hold_back": hold_back,
                    "epochs": args.epochs or train_defaults.EPOCHS, "batch_size": args.batch_size, "patience": args.patience,
                    "own_optimizer": bool(args.optimizer), "target_shift": target_scaling.shift,
                    "target_scale": target_scaling.scale}
    network.metadata = {**data.metadata, "run": run_metadata}
    return network, data, run_metadata


def _resumed(args):
    """(the saved network, its data, the metadata of its run)."""
    given = next((name for name in FIXED if getattr(args, name) is not None), None)
    if given:
        raise ValueError(f"--{given.replace('_', '-')} cannot be combined with --resume, which continues with the saved "
                         "network: leave it out, or train a new one")
    network = samples.saved(args.resume, args.device or "auto")
    run_metadata = network.metadata.get("run")
    if run_metadata is None:
        raise ValueError(f"--resume: expected a network saved by `gpubp train`, got {args.resume}, which does not record "
                         "its run: use net.fit in Python")
    if args.data:
        run_metadata["path"] = recorded(args.data)   # a later --resume uses these data
    if run_metadata["path"] is None:
        return network, datasets.digits(), run_metadata
    path = args.data or _found(args.resume, run_metadata["path"])
    return network, samples.with_targets(datasets.load(path, like=network.metadata, unknown="ignore"), network), run_metadata


def recorded(path):
    """The path of the data as others may see it: as it was given if it leads down from the present folder, else the name only."""
    down = Path(path).anchor == "" and ".." not in Path(path).parts
    return Path(path).as_posix() if down else os.path.basename(os.path.abspath(path))


def _found(network, path):
    """The recorded data, in the present folder or beside the saved network; never a device, which may have no end."""
    for wanted in filter(None, (path, os.path.basename(path))):
        places = [Path(wanted), Path(network).parent / wanted]
        found = {place.resolve(): place for place in places if place.is_file() or place.is_dir()}
        if len(found) == 1:
            return next(iter(found.values()))
        if found:
            raise ValueError(f"--resume: expected one {path}, got {' and '.join(map(str, found.values()))}: give DATA, too")
    raise ValueError(f"--resume: expected {path} in this folder or beside {network}, got neither: give DATA, too")


def _parts(data, hold_back, seed):
    """(training data, validation data or None); the file's own validation part takes precedence over hold_back."""
    if data.valid is not None:
        return data, data.valid
    return datasets.split(data, hold_back, seed) if hold_back else (data, None)


def _stem(args, data):
    """The default name of the network, without its ending."""
    return data.name if args.data is None else f"{ENDING.sub('', data.name) or data.name}-network"


def picture_path(args, save):
    """The path of the picture, by default beside the network; or None."""
    if args.no_picture:
        return None
    beside = save.with_suffix(".png") if save.suffix == ".npz" else f"{save}.png"
    return checked_path(args.picture or beside)


def save_network(args, data, network, diverged=False):
    """Save the network, under a default name never over a file; returns its path. If that fails, save it elsewhere and raise."""
    named = args.save or args.resume
    save = Path(named or first_free(_stem(args, data)))
    try:
        if not named:
            return save_as_first_free(network, _stem(args, data))
        if diverged and save.exists():   # never replace a saved network by one that diverged
            return save_as_first_free(network, f"{save.with_suffix('')}-diverged")
        network.save(save)
        return save
    except OSError:
        if elsewhere := rescue(network, save.stem):
            print(f"gpubp: the trained network is in {elsewhere}; `gpubp train --resume {shlex.quote(str(elsewhere))}` continues "
                  "with it", file=sys.stderr)
        raise


def check_destinations(args, data):
    """Raise OSError or ValueError, before training starts, if its results could not be written."""
    save = Path(args.save or args.resume or first_free(_stem(args, data)))
    picture = picture_path(args, save)
    check_free(save, holds_network, "a gpubp network", "--save")
    if args.checkpoint:
        check_free(args.checkpoint, holds_network, "a gpubp network", "--checkpoint")
    if picture is not None:
        if os.path.realpath(picture) in {os.path.realpath(name) for name in (save, args.checkpoint) if name}:
            raise ValueError(f"--picture: expected another name than the network's, got {picture} for both")
        check_free(picture, holds_picture, "a picture by gpubp", "--picture")


def _introduce(say, args, network, train, validation, optimizer, batch_size, run_metadata):
    say("device", network.ops.name + (f" ({network.device_choice.reason})" if args.device in (None, "auto") else ""))
    say("data", f"{train.name}: {len(train)} training samples, {len(validation) if validation else 0} validation samples; "
                f"{contents(train)}")
    if line := samples.decisions(train):
        say("data", line)
    if not args.resume and validation and isinstance(validation.scaling, datasets.Preprocessing):
        for line in unknown_note(validation.raw, validation.scaling):
            say("data", f"validation samples: {line}")
    parameters = sum(view.size for _, view in network.parameters.items())
    activations = "-".join(gate.activation.name for gate in network.gates.values())
    say("network", f"{'-'.join(map(str, network.sizes))}, {activations}, {network.cost_function.name}, {parameters} "
                   f"parameters, {network.number_format}, seed {network.seed}")
    going_on = f", from epoch {network.epoch + 1}" if args.resume else ""
    say("training", f"{optimizer}, batches of {batch_size}, {args.epochs or run_metadata['epochs']} epochs{going_on}")
    if args.checkpoint:
        every = {None: "epoch but at most once a second", "1": "epoch"}.get(
            args.every, f"{args.every}{' epochs' * str(args.every).isdigit()}")
        say("", f"checkpoints in {args.checkpoint}, every {every}; if training is killed: gpubp train --resume "
                f"{shlex.quote(args.checkpoint)}")


def contents(data):
    """The numbers of features and of classes or targets, in words."""
    aim = (f"{len(data.classes)} classes" if data.classes else
           f"{data.outputs} target{'s' * (data.outputs > 1)} ({data.task})")
    inputs = "" if data.inputs == data.features else f" as {data.inputs} inputs"
    return f"{data.features} feature{'s' * (data.features > 1)}{inputs}, {aim}" + (f" in {data.target!r}" if data.target else "")


def print_scores(say, network, target_scaling, train, validation, test, when):
    """Print the score on the validation data, or else on the training data, and on the file's own test part."""
    known = (validation, "validation samples") if validation else (train, "training samples")
    for head, part, of, tail in (("result", *known, f" ({when})"), ("", test, "test samples", "")):
        if part is None:
            continue
        score = network.score(part.x, target_scaling(part.y))
        if part.task != "regression":
            line = f"{score:.1%} of {len(part)} {of} correct{samples.metric(part.task)}"
        else:
            error = samples.predicted(network, part.x)[:, :part.outputs] - part.y
            line = f"R^2 {score:.4f}, root mean square error {samples.root_mean_square(error):.4g}, on {len(part)} {of}"
        say(head, line + tail)
