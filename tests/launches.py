"""Launches of each derivative rule on a CUDA device, counted by an emulated one: the table of gpubp/circuits/README.md.

    ../shared/cupyhost/run -m tests.launches     renews the table
"""

from collections import Counter
from pathlib import Path

import numpy as np

from gpubp.circuits.backward import backward
from gpubp.circuits.tracing import TracedCall
from tests.circuits.test_rules import FUNCTIONS, Call
from tests.rule_cases import CASES

README = Path(__file__).parent.parent / "gpubp" / "circuits" / "README.md"
HEAD = "| function | forward | backward |\n|---|---|---|\n"
LAUNCHES = "kernel launch", "memset", "copy"     # work of a stream, including zeros and copies within the device
WAITS = "copy to host", "stream synchronize", "device synchronize", "event synchronize"


def whole(call):
    """Whether a call differentiates only by arrays; the gradient of a Python float is copied to the host."""
    return bool(call.given) and all(hasattr(x, "shape") for x in call.given)


def asked(function, ops, counts):
    """(counts of the forward pass, counts of the backward pass) for the function's first case; counts() is cupyhost's."""
    call = next(call for call in (Call(function, case, ops=ops) for case in CASES[function]) if whole(call))
    found = ()
    for _ in range(2):   # the first pass compiles kernels
        ops.xp.cuda.Device().synchronize()
        # without the copies of small arguments
        traced = TracedCall("vjp", lambda *given: (counts(), call(*given))[1], call.given, {}, tuple(range(len(call.given))))
        forward = Counter(counts())
        ends = [(end, np.ones_like(end.value)) for end in traced.ends if end is not None]
        counts()
        backward(ends)
        found = forward, Counter(counts())
    return found


def unsupported(error):
    """Whether an error says that the emulated cuSOLVER or cuFFT lacks a function."""
    return any(words in repr(error) for words in ("CUSOLVER_STATUS_NOT_SUPPORTED", "CUFFT_NOT_IMPLEMENTED"))


def launches(counted):
    """The number of launches in these counts."""
    return sum(counted[name] for name in LAUNCHES)


def table(ops, counts):
    """The rows of all functions with a rule, by name."""
    rows = []
    for function, name in sorted(FUNCTIONS.items(), key=lambda item: item[1]):
        try:
            forward, back = map(launches, asked(function, ops, counts))
        except Exception as error:
            if not unsupported(error):
                raise
            forward = back = "-"   # type: ignore[assignment]
        rows.append(f"| {name.removeprefix('np.')} | {forward} | {back} |\n")
    return HEAD + "".join(rows)


def main():
    """Renew the table in the README."""
    import cupyhost

    from tests.conftest import device
    text = README.read_text()
    begin = text.index(HEAD)
    with np.errstate(all="ignore"):
        README.write_text(text[:begin] + table(device("cuda"), cupyhost.counts))


if __name__ == "__main__":
    main()
