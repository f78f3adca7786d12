"""gpubp search: choose a network and its training by cross-validation on a file, and save the best one."""

import json
import re
from contextlib import suppress
from math import ceil

from .. import plots
from ..datasets import Scaling
from ..layered.history import StopReason
from ..layered.interrupt import Interrupt
from ..layered.search import DISTRIBUTIONS, search
from ..layered.task import usual_output
from ..maths.costs import resolve_cost
from . import outputs, samples, train, train_defaults

SPACE = {"hidden": [[32], [128], [64, 64]], "activation": ["relu", "tanh"], "dropout": [0.0, 0.2],
         "learning_rate": "log_uniform(0.0005, 0.05)"}
KEPT_NOWHERE = {"samples_per_epoch", "shuffle"}   # by the file of a network
WORDS = {"true": True, "false": False, "none": None}
COMMA = re.compile(r",(?![^(\[]*[)\]])")   # outside brackets


def run(args):
    say = (lambda *words: None) if args.quiet else outputs.say
    chosen = dict(map(_choice, args.choose))
    if given := KEPT_NOWHERE & chosen.keys():
        raise ValueError("--choose: expected parameters that `gpubp train --resume` can keep, got "
                         f"{' and '.join(sorted(given))}: use gpubp.search in Python")
    if len(chosen) < len(args.choose):
        raise ValueError(f"--choose: expected each parameter once, got {' and '.join(args.choose)}: join the choices for one")
    data = train.read(args)
    standardize = data.scaling is None   # by each fold's own training samples
    data = data.scaled() if data.mixed else data
    train.check_destinations(args, data)
    held = ceil(len(data) * (args.folds if args.folds < 1 else 1 / args.folds))
    space = {"cost": [train_defaults.usual_cost(data.task)], "batch_size": [train_defaults.usual_batch_size(len(data) - held)],
             "optimizer": [f"adam(cosine({train_defaults.LEARNING_RATE}, epochs={args.epochs}))"],
             "standardize": [standardize], **(chosen or SPACE)}
    costs = space["cost"] if data.task == "regression" and "output" not in chosen and isinstance(space["cost"], list) else None
    scales = costs and all(train_defaults.takes_all_numbers(*resolve_cost(cost, "identity", usual_output(cost, data.task)))
                           for cost in map(str, costs))
    target_scaling = Scaling.standard(data.y) if scales else Scaling()
    code = target_scaling if data.classes is None else (lambda y: y)
    say("data", f"{data.name}: {len(data)} training samples; {train.contents(data)}")
    if line := samples.decisions(data):
        say("data", line)
    with Interrupt() as interrupt:   # the first signal stops the search, but no saving
        result = search(space, data.x, code(data.y), trials=args.trials, folds=args.folds, strategy=args.strategy,
                        epochs=args.epochs, device=args.device, seed=args.seed, task=data.task,
                        validation=data.valid and (data.valid.x, code(data.valid.y)), progress=False if args.quiet else None)
        for place, line in enumerate(str(result).splitlines()):
            say("" if place else "result", line)
        if (best := result.best) is not None:
            size = result.best_parameters["batch_size"]
            best.metadata = {**data.metadata, "run": {
                "path": args.data and train.recorded(args.data), "hold_back": 0.0, "epochs": best.epoch or 1,
                "batch_size": size if isinstance(size, int) else None, "patience": None, "own_optimizer": "optimizer" in chosen,
                "target_shift": target_scaling.shift, "target_scale": target_scaling.scale}}
            save = train.save_network(args, data, best, diverged=best.history.stop_reason == StopReason.DIVERGED)
            say("saved", save)
    if interrupt.requested or best is None:   # they go together
        return 128 + interrupt.requested
    if data.test:
        train.print_scores(say, best, code, data, data.valid, data.test, f"after {best.epoch} epochs")
    train.draw(say, plots.search, result, train.picture_path(args, save))
    return 0


def _choice(text):
    """(name, choices) of NAME=A,B,...; each of them is JSON or a word, and a single one may be a distribution."""
    name, sign, values = text.partition("=")
    if not sign or not values:
        raise ValueError(f"--choose: expected NAME=A,B,..., such as hidden=32,64, got {text!r}")
    words: list = [word.strip() for word in COMMA.split(values)]
    if len(words) == 1 and words[0].partition("(")[0] in DISTRIBUTIONS:
        return name, words[0]
    with suppress(ValueError):   # texts in quotes may hold commas
        return name, json.loads(f"[{values}]")
    for place, word in enumerate(words):
        words[place] = WORDS.get(word.lower(), word)
        with suppress(ValueError):
            words[place] = json.loads(word)
    return name, words
