"""The command line: subcommands, options, and error messages; the subcommands themselves are in gpubp/commands/."""

import argparse
import importlib
import os
import signal
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout

from .devices.ops import PRECISIONS
from .layered.interrupt import keyboard_interrupts
from .maths.validation import visible
from .streams import TolerantStream, discard, occupy_descriptors

TRAIN = """\
DATA is a table (.csv, .tsv), arrays (.npz with x and y, or train_x, ...), or MNIST's idx files or their folder. Without DATA,
train on the 1,797 handwritten digits of scikit-learn. The line "data" states how the file was understood, and which option
overrides it; a file that can be understood in two ways is an error."""

EXPORT = """\
The ending of FILE names its format. Files take the columns that the network was trained on, in their order and unscaled, and give
predictions in the units of the data, as `gpubp predict` does: with gaussian_nll means, then standard deviations. C and ONNX take
words as numbers, which the file lists. Only a .safetensors file leaves scaling to its reader: it holds the network's parameters,
and the rest in its metadata."""

BENCH = """\
Without NAME, list the benchmarks. Options after the names are passed to their scripts; `gpubp bench peers --help`, for example,
shows the options of one. Tables, JSON and pictures are written to the folder gpubp-bench, or to the one given by --out."""

DEMO = """\
Without NAME, list the demos. They tell the story of backpropagation, and every number is computed during the run."""


class _Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one sentence without the usage text, and point to the subcommand's own --help."""

    def error(self, message):
        raise ValueError(f"{message} (see `{self.prog} --help`)")

    def parse_known_args(self, args=None, namespace=None):
        namespace, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return namespace, unknown


def main(argv=None):
    """Run the command line; returns the exit code.

    argv: a list of words without the program's name, by default sys.argv[1:]. Exit codes: 0 for success, 1 for a failed check,
    2 for an error, which stderr describes in one sentence, 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP, 141 for a
    closed pipe. A standard output that breaks is such an error too, but what runs is completed and saved before. Only with
    --debug, errors are raised.
    """
    occupy_descriptors()
    out, err = TolerantStream(sys.stdout), TolerantStream(sys.stderr)
    with redirect_stdout(out), redirect_stderr(err):
        code = _run(argv)
        out.flush()
        if out.error is not None and not code:
            code = 141 if isinstance(out.error, BrokenPipeError) else 2   # 141: the reader (head, less) closed the pipe
            if code == 2:
                print(f"gpubp: could not write to the standard output ({_sentence(out.error)}): redirect it to another place",
                      file=err)
        err.flush()
    for stream in (out, err):
        if stream.error is not None:
            discard(stream)
    return code


def _run(argv):
    debug = "--debug" in (sys.argv[1:] if argv is None else argv)
    try:
        with keyboard_interrupts():
            args = _parser().parse_args(argv)
            with warnings.catch_warnings():
                warnings.showwarning = lambda message, *place: print(f"gpubp: {visible(str(message))}", file=sys.stderr)
                return importlib.import_module(f".commands.{args.command}", __package__).run(args)
    except SystemExit as end:   # of --help and --version
        return end.code
    except KeyboardInterrupt as interrupt:
        print("\ngpubp: interrupted", file=sys.stderr)
        return 128 + (interrupt.args[0] if interrupt.args else signal.SIGINT)
    except (ValueError, TypeError, RuntimeError, OSError, ImportError, MemoryError, Warning) as error:   # with -W error
        if debug:
            raise
        print(f"gpubp: {visible(_sentence(error))}", file=sys.stderr)
        return 2


def _sentence(error):
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.filename is None else f"{os.fsdecode(error.filename)}: {error.strerror}"
    if isinstance(error, MemoryError):
        return f"out of memory ({error}): use fewer samples, a smaller --batch-size or --dtype float32"
    return " ".join(str(error).split()) or type(error).__name__


class _Version(argparse.Action):
    def __call__(self, parser, namespace, values, option_string=None):
        from . import __version__
        print(f"gpubp {__version__}")
        parser.exit()


def _parser():
    parser = _Parser(prog="gpubp", description="Train networks by backpropagation, on the CPU or a CUDA GPU.")
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name, summary, **more):
        made = commands.add_parser(name, help=summary, **more)
        made.add_argument("--debug", action="store_true", help="show the full traceback of an error")
        return made

    _train(command("train", "train a network; without arguments, on handwritten digits", description=TRAIN))
    _search(command("search", "choose a network by cross-validation, and train it", description=TRAIN))
    add = command("predict", "apply a saved network to data").add_argument
    add("network", metavar="NET.npz", help="a network saved by `gpubp train`")
    add("data", metavar="DATA", help="a file as for `gpubp train`; targets are optional")
    add("--output", type=_file, metavar="FILE.csv", help="where to write the predictions (default: standard output)")
    _table(add)
    add("--proba", action="store_true", help="also write the probability of each class")
    add("--unknown", choices=("error", "ignore"), default="error",
        help="how to take a category that the training data did not have: ignore takes it as none of them (default error)")
    add("--device", default="auto", help="auto, cpu, cpu:numpy, cpu:compiled, cuda or cuda:N (default auto)")
    add = command("export", "write a saved network for other programs", description=EXPORT).add_argument
    add("network", metavar="NET", help="a saved network, or a .safetensors file by gpubp")
    add("files", nargs="+", type=_file, metavar="FILE",
        help="what to write, a .c, .onnx, .json or .safetensors file; an earlier export is replaced")
    add("--int8", type=_file, metavar="DATA",
        help="write the weights of a .c file as int8, and print its score on DATA beside the network's own")
    _table(add)
    add = command("check", "verify the equations of backpropagation against numerical derivatives").add_argument
    add("network", nargs="?", metavar="NET.npz", help="a saved network (default: a new 784-30-10 network)")
    add("data", nargs="?", metavar="DATA", help="samples to check it on (default: random samples)")
    _table(add)
    add("--device", default="auto", help="auto, cpu, cpu:numpy, cpu:compiled, cuda or cuda:N (default auto)")
    _parity(command("parity", "compare one training step on two devices, array by array"))
    add = command("bench", "run or list the benchmarks", description=BENCH).add_argument
    add("words", nargs=argparse.REMAINDER, metavar="NAME ... [OPTION ...]",
        help="names of benchmarks, or all, then options of their scripts")
    demo = command("demo", "explain backpropagation with worked examples, or list the demos", description=DEMO)
    demo.add_argument("name", nargs="?", metavar="NAME", help="the demo to run, or all")
    demo.add_argument("--seed", type=int, default=1, metavar="N", help="random seed (default 1)")
    _picture(demo, "where to draw the picture (.png, .svg or .pdf); an earlier one is replaced (default gpubp-NAME.png)")
    demo.add_argument("--html", type=_file, metavar="PATH", help="also write the demo as a page for browsers; it works offline")
    demo.add_argument("--out", type=_file, metavar="DIR", help="with the name all: the folder for all pages and their index")
    docs = command("docs", "write the reference as HTML pages, which need no network")
    docs.add_argument("--out", type=_file, default="gpubp-docs", metavar="DIR",
                      help="the folder to write to; an earlier reference is replaced (default gpubp-docs)")
    add = command("playground", "write a page that trains a network in the browser").add_argument
    add("data", nargs="?", type=_file, metavar="DATA.csv", help="a table of two numeric columns and one of labels, or of two "
                                                                "numeric columns (default: generated tables)")
    add("--target", metavar="C", help="column of labels or targets, by name or number from 1 (default: the only column of "
                                      "words, else the last)")
    _table(add)
    add("--html", type=_file, default="gpubp-playground.html", metavar="PATH", help="the page; an earlier one is replaced "
                                                                                    "(default gpubp-playground.html)")
    command("info", "show versions, devices and missing packages, and how to use a GPU")
    return parser


def _data(add):
    """DATA to train on, and how to read it."""
    add("data", nargs="?", type=_file, metavar="DATA", help="the file to train on")
    add("--target", metavar="C", help="target column, by name or number from 1 (default: target, label, class, y, species or "
                                      "outcome, else the last column), or several, such as rain,snow for separate labels of 0 "
                                      "and 1; for an .npz file, the name of the target array")
    add("--ignore", type=_names, metavar="C,...", help="columns to ignore")
    add("--task", choices=("auto", "classification", "multi-label", "regression"),
        help="how to interpret the target (default auto)")
    _table(add)
    add("--missing", metavar="WORDS",
        help='leave out rows with these words, such as NA,? or with empty cells; "" if no word means a missing value, so that '
             "None or NA is a class (default: missing values are errors)")
    add("--impute", choices=("median", "mean"),
        help="fill in missing numbers with the median or mean of the training samples, and take missing words as a category "
             "(default: as --missing says)")
    add("--categories", type=_names, metavar="C,...",
        help="columns of categories, such as numbers of districts (default: columns of at most 100 words, each twice on average)")


def _results(parser, picture):
    """Where the network and the picture are written."""
    parser.add_argument(
        "--save", type=_file, metavar="FILE.npz",
        help="where to save the network; a saved network of that name is replaced (default: NAME-network.npz for the data file "
             "NAME, or digits.npz; if it exists, NAME-network-2.npz, digits-2.npz and so on)")
    _picture(parser, f"where to draw {picture} (default: beside the network)")
    parser.add_argument("--quiet", action="store_true", help="print only errors")


def _search(parser):
    add = parser.add_argument
    _data(add)
    add("--choose", action="append", default=[], metavar="NAME=A,B,...",
        help='choices for a parameter of gpubp.search, such as hidden=32,[64,64] or learning_rate="log_uniform(0.001, 0.1)"; '
             "repeat it for others (default: choices for hidden, activation, dropout and learning_rate)")
    add("--trials", type=int, default=30, metavar="N", help="number of configurations (default 30)")
    add("--folds", type=_folds, default=5, metavar="N", help="number of folds, or the fraction of the samples to validate on "
                                                             "(default 5)")
    add("--epochs", type=int, default=30, metavar="N", help="the most epochs of a trial (default 30)")
    add("--strategy", choices=("halving", "random"), default="halving",
        help="random trains all trials for all epochs, halving most of them for fewer (default halving)")
    add("--device", default="auto", help="auto, cpu, cpu:numpy, cpu:compiled, cuda or cuda:N (default auto)")
    add("--seed", type=int, default=1, metavar="N", help="random seed for trials, folds and networks (default 1)")
    _results(parser, "the scores")
    parser.set_defaults(resume=None, checkpoint=None)


def _train(parser):
    add = parser.add_argument
    _data(add)
    width = parser.add_mutually_exclusive_group()
    width.add_argument("--layers", type=_numbers, metavar="N,N,...",
                       help="all layer sizes from inputs to outputs, such as 784,30,10")
    width.add_argument("--hidden", type=_numbers, metavar="N,...", help="sizes of the hidden layers (default 128)")
    add("--activation", metavar="NAME", help="activation of the hidden layers (default relu)")
    add("--output", metavar="NAME", help="activation of the output layer (default: chosen to match the cost)")
    add("--cost", metavar="NAME", help='cost (default "cross-entropy(0.1)", with label smoothing 0.1; quadratic for regression; '
        "gaussian_nll for predictions with standard deviations)")
    add("--optimizer", metavar="TEXT", help='such as "sgd(0.5, momentum=0.9)" or "clip_norm(1), adam(0.001)" (default adam, with '
                                            "cosine annealing of the learning rate from 0.005 to 0)")
    add("--lr", type=float, metavar="F", help="learning rate of the optimizer")
    add("--epochs", type=int, metavar="N", help="total number of epochs (default 30)")
    add("--batch-size", type=int, metavar="N", help="mini-batch size (default 4 to 128, depending on the number of samples)")
    add("--dropout", type=float, metavar="P", help="dropout rate of the hidden layers (default 0)")
    add("--device", help="auto, cpu, cpu:numpy, cpu:compiled, cuda or cuda:N (default auto, the fastest available)")
    add("--seed", type=int, metavar="N", help="random seed for weights, shuffling, dropout and validation split (default 1)")
    add("--dtype", choices=("float32", "float64"), help="dtype of the parameters (default float32)")
    add("--precision", choices=PRECISIONS, help="precision of matrix products on a GPU (default exact)")
    add("--hold-back", type=float, metavar="F", help="fraction of the samples held back for validation (default 0.2; 0 trains on "
                                                     "all samples; ignored if the file has its own validation part)")
    add("--patience", type=int, metavar="N", help="early stopping: stop after N epochs without a better validation cost, and "
                                                  "restore the best parameters")
    _results(parser, "the learning curve")
    add("--checkpoint", type=_file, metavar="FILE.npz",
        help="also save the network here during training, from which --resume continues if training is killed; a saved network "
             "of that name is replaced, and the checkpoint before is kept as FILE.previous.npz")
    add("--every", metavar="N", help="how often: a number of epochs, or a time such as 30s, 5min or 1h (default: each "
                                              "epoch, but at most once a second)")
    add("--parallel", action="store_true",
        help="train on all processes that mpiexec or srun has started, as in: mpiexec -n 4 gpubp train data.npz --parallel")
    add("--resume", type=_file, metavar="FILE.npz",
        help="continue training a saved network, up to --epochs in total; it is saved to the same file, or to --save")


def _table(add):
    """Options for tables; `gpubp predict` takes them over from the training."""
    add("--delimiter", metavar="C", help="the sign between columns (default: comma, semicolon, tab, | or spaces in all lines)")
    add("--decimal", metavar="C", help="the decimal sign of numbers (default .)")
    add("--thousands", metavar="C", help="the sign between groups of three digits (default none)")
    add("--header", choices=("auto", "yes", "no"), help="whether the first line names the columns (default auto)")
    add("--index", metavar="C", help="a column that numbers the rows, to leave out, or none; without none, columns with names "
                                     "such as Id are left out too if they number the rows or differ in every row")


def _parity(parser):
    add = parser.add_argument
    add("network", nargs="?", metavar="NET.npz", help="a saved network (default: a new one); the samples are random")
    add("--layers", type=_numbers, metavar="N,N,...", help="all layer sizes of a new network (default 784,30,10)")
    add("--activation", metavar="NAME", help="activation of its hidden layers (default sigmoid)")
    add("--output", metavar="NAME", help="activation of its output layer (default: chosen to match the cost)")
    add("--cost", metavar="NAME", help="its cost (default cross-entropy)")
    add("--dtype", choices=("float32", "float64"), help="dtype of its parameters (default float32)")
    add("--samples", type=int, default=64, metavar="N", help="batch size (default 64)")
    add("--device", default="cpu", help="cpu, cpu:numpy, cpu:compiled, cuda, cuda:N, auto or reference, which evaluates the "
                                        "formulas with NumPy in float64 (default cpu)")
    add("--against", default="cuda", metavar="DEVICE", help="the device to compare with (default cuda)")
    add("--precision", choices=PRECISIONS, help="precision of matrix products on a GPU (default: the network's own)")
    add("--json", type=_file, metavar="FILE.json", help="also write the report to this file; an earlier report is replaced")


def _picture(parser, where):
    picture = parser.add_mutually_exclusive_group()
    picture.add_argument("--picture", type=_file, metavar="FILE.png", help=where)
    picture.add_argument("--no-picture", action="store_true", help="draw no picture")


def _file(text):
    if not text:   # such as an unset shell variable
        raise argparse.ArgumentTypeError("expected the name of a file, got '': give one or leave this out")
    return text


def _folds(text):
    try:
        folds = int(text) if text.isdecimal() else float(text)
    except ValueError:
        folds = 0
    if not folds > 0:
        raise argparse.ArgumentTypeError(f"expected a number of folds or a fraction, got {text!r}")
    return folds


def _names(text):
    return [word.strip() for word in text.split(",") if word.strip()]


def _numbers(text):
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected whole numbers separated by commas, got {text!r}") from None
