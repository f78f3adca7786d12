"""The command line: its words and options, and what becomes of errors; the commands are a room of their own."""

import argparse
import importlib
import os
import sys

from .devices.ops import PRECISIONS

TRAIN = """\
Without DATA: the 1,797 handwritten digits of scikit-learn. DATA is a table (.csv, .tsv), arrays (.npz with x and y, or
train_x, ...), MNIST's idx files or their folder."""

BENCH = """\
Without NAME: a list of the benchmarks. What follows the names goes to their scripts: `gpubp bench peers --help` tells what one
takes. Tables, JSON and pictures are written into the folder gpubp-bench, or the one that --out names."""

DEMO = """\
Without NAME: a list of the demos, which follow Karpathy's "Hacker's guide to Neural Networks". All numbers are computed
on the way."""


class _Parser(argparse.ArgumentParser):
    """Reports a wrong option as every other error: one sentence, no page of usage."""

    def error(self, message):
        raise ValueError(f"{message} (`{self.prog} --help` lists what there is)")


class _Command(_Parser):
    """Reports options that it does not know itself; its parent would point to the list of commands."""

    def parse_known_args(self, args=None, namespace=None):
        namespace, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return namespace, unknown


def main(argv=None):
    """Run the command line with a list of words, the program's own by default; returns the exit code.

    0: done; 1: a check failed; 2: an error, told in one sentence on stderr; 130: interrupted.
    """
    debug = "--debug" in (sys.argv[1:] if argv is None else argv)
    try:
        args = _parser().parse_args(argv)
        code = importlib.import_module(f".commands.{args.command}", __package__).run(args)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("\ngpubp: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # who read our output (head, less) has enough; Python would complain again while closing
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (ValueError, TypeError, RuntimeError, OSError, ImportError, MemoryError) as error:
        if debug:
            raise
        print(f"gpubp: {_sentence(error)}", file=sys.stderr)
        return 2


def _sentence(error):
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.filename is None else f"{os.fsdecode(error.filename)}: {error.strerror}"
    if isinstance(error, MemoryError):
        return f"out of memory ({error}): fewer samples, a smaller --batch-size or --dtype float32 take less"
    return " ".join(str(error).split()) or type(error).__name__


class _Version(argparse.Action):
    def __call__(self, parser, namespace, values, option_string=None):
        from . import __version__
        print(f"gpubp {__version__}")
        parser.exit()


def _parser():
    parser = _Parser(prog="gpubp", description="Train networks by backpropagation, on the CPU or a CUDA GPU.")
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    common = _Command(add_help=False)
    common.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Command)

    def command(name, summary, **more):
        return commands.add_parser(name, help=summary, parents=[common], **more)

    _train(command("train", "train a network; without arguments, on handwritten digits", description=TRAIN))
    _predict(command("predict", "apply a saved network to data"))
    _check(command("check", "verify the equations of backpropagation against numerical derivatives"))
    _parity(command("parity", "compare a step of backpropagation on two devices, array by array"))
    _bench(command("bench", "run the benchmarks, or list them", description=BENCH))
    _demo(command("demo", "tell what backpropagation is, with numbers computed on the way, or list the demos", description=DEMO))
    command("info", "versions, devices, what is there and what is not, how to get a GPU going")
    return parser


def _train(parser):
    add = parser.add_argument
    add("data", nargs="?", type=_file, metavar="DATA", help="the file to learn from")
    add("--target", metavar="C", help="the column to learn, by name or number from 1 (default: target, label, class, "
                                      "y; else the last); of an .npz, the array")
    add("--ignore", type=_words, metavar="C,...", help="columns to leave out")
    add("--task", choices=("auto", "classification", "regression"), help="what the target is, where it is in doubt")
    width = parser.add_mutually_exclusive_group()
    width.add_argument("--layers", type=_numbers, metavar="N,N,...", help="all widths, inputs to outputs, such as "
                                                                          "784,30,10")
    width.add_argument("--hidden", type=_numbers, metavar="N,...", help="the widths of the hidden layers (default 128)")
    add("--activation", metavar="NAME", help="of the hidden layers (default relu)")
    add("--output", metavar="NAME", help="activation of the last layer (default: what suits the cost)")
    add("--cost", metavar="NAME", help='default "cross-entropy(0.1)", which is with label smoothing; quadratic for '
                                       'regression')
    add("--optimizer", metavar="TEXT", help='such as "sgd(0.5, momentum=0.9)" or "clip_norm(1), adam(0.001)" (default '
                                            'adam '
                                            "with a rate that falls from 0.005 to 0 along a cosine)")
    add("--lr", type=float, metavar="F", help="the rate of the optimizer")
    add("--epochs", type=int, metavar="N", help="how many in all (default 30)")
    add("--batch-size", type=int, metavar="N", help="samples of a step (default by the size of the data, 4 to 128)")
    add("--dropout", type=float, metavar="P", help="probability of leaving out a hidden neuron's output (default 0)")
    add("--device", help="auto, cpu, cpu:numpy, cpu:compiled, cuda or cuda:N (default auto, the best there is)")
    add("--seed", type=int, metavar="N", help="of weights, shuffles and held-back samples (default 1)")
    add("--dtype", choices=("float32", "float64"), help="default float32")
    add("--precision", choices=PRECISIONS, help="what a GPU may round in products for speed (default exact)")
    add("--hold-back", type=float, metavar="F", help="part of the samples to validate on, not to learn from (default "
                                                     "0.2; 0 learns from all; no effect where the file sets samples "
                                                     "aside)")
    add("--patience", type=int, metavar="N", help="stop after N epochs without a better validation cost, and take the "
                                                  "best")
    add("--save", type=_file, metavar="FILE.npz",
        help="where the network goes, in place of a network that may be there (default NAME-network.npz, after the data, "
             "or digits.npz, and where that is taken NAME-network-2.npz, digits-2.npz and so on)")
    _picture(parser, "where the learning curve goes (default: beside the network)")
    add("--resume", type=_file, metavar="FILE.npz",
        help="go on with a saved network, up to --epochs in all, and save it there again unless --save says otherwise")
    add("--quiet", action="store_true", help="say nothing but errors")


def _predict(parser):
    add = parser.add_argument
    add("network", metavar="NET.npz", help="a network that `gpubp train` saved")
    add("data", metavar="DATA", help="a file as for train; targets may be missing")
    add("--output", type=_file, metavar="FILE.csv", help="where the predictions go (default: the screen)")
    add("--proba", action="store_true", help="the outputs for each class, too")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N (default auto)")


def _check(parser):
    add = parser.add_argument
    add("network", nargs="?", metavar="NET.npz", help="a saved network (default: a small one, on random samples)")
    add("data", nargs="?", metavar="DATA", help="samples to check it on")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N (default auto)")


def _parity(parser):
    add = parser.add_argument
    add("network", nargs="?", metavar="NET.npz", help="a saved network (default: a new one), on random samples")
    add("--layers", type=_numbers, metavar="N,N,...", help="all widths of a new network (default 784,30,10)")
    add("--activation", metavar="NAME", help="of its layers (default sigmoid)")
    add("--output", metavar="NAME", help="activation of its last layer (default: what suits the cost)")
    add("--cost", metavar="NAME", help="default cross-entropy")
    add("--dtype", choices=("float32", "float64"), help="default float32")
    add("--samples", type=int, default=64, metavar="N", help="rows of the batch (default 64)")
    add("--device", default="cpu", help="cpu, cpu:compiled, cuda, cuda:N, auto or reference, the formulas read plainly by NumPy "
                                        "in float64 (default cpu)")
    add("--against", default="cuda", metavar="DEVICE", help="the other one (default cuda)")
    add("--precision", choices=PRECISIONS, help="of the products on a GPU (default the network's own)")
    add("--json", type=_file, metavar="FILE.json", help="write the report there, too, in place of one that may be there")


def _bench(parser):
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="NAME ... [OPTION ...]", help="benchmarks, or all of them: "
                                                                                                  "all")


def _demo(parser):
    parser.add_argument("name", nargs="?", metavar="NAME", help="the demo to tell: gates or svm")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of what is drawn at random (default 1)")
    _picture(parser, "where the picture of svm's decisions goes, in place of one that may be there (default gpubp-svm.png)")


def _picture(parser, where):
    picture = parser.add_mutually_exclusive_group()
    picture.add_argument("--picture", type=_file, metavar="FILE.png", help=where)
    picture.add_argument("--no-picture", action="store_true", help="draw none")


def _file(text):
    if not text:   # an unset variable of a shell's, for instance
        raise argparse.ArgumentTypeError("expected the name of a file, got '': give one or leave this out")
    return text


def _words(text):
    return [word.strip() for word in text.split(",") if word.strip()]


def _numbers(text):
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected whole numbers separated by commas, got {text!r}") from None
