"""The goals of a run on a GPU, and which of them it met."""

from functools import partial

EAGER, GRAPH = "PyTorch eager", "PyTorch whole-step graph"


def goals(results):
    """[(goal, what was found, "met", "NOT MET" or "not measured")], from the sections' figures by their names."""
    table = []
    for goal, judge in _judges(results).items():
        try:
            found, met = judge()
        except (KeyError, TypeError, ValueError, AttributeError):   # of a section that failed or had no time
            found, met = "", None
        table.append((goal, found, "not measured" if met is None else "met" if met else "NOT MET"))
    return table


def _judges(results):
    judges = {
        "the whole test-suite passes": lambda: _tests(results["tests"]),
        "a graph's replays equal the eager steps bitwise": lambda: _all(results["graphs"], "replay_equals_eager"),
        "one seed gives bitwise one result": lambda: _all(results["graphs"], "repeats"),
        "nothing is allocated in a capture": lambda: _none_in_capture(results["graphs"]),
        "20 random networks agree with the CPU up to rounding": lambda: _all(results["parity"], "passed", 20),
        "the memory checker finds nothing": lambda: _memory(results["memory"])}
    for name in [name for name in results if name.startswith("steps ")]:
        figures, what = results[name], name.removeprefix("steps ")
        if "bfloat16" in name:
            judges[f"{what}: never slower than the best of the peers"] = partial(_best, figures)
            judges[f"{what}: the bare products are at least 90 % of the step"] = partial(_share, figures)
        else:
            judges[f"{what}: at least 8 x {EAGER}"] = partial(_faster, figures, EAGER, 8.0)
            judges[f"{what}: at least 2 x {GRAPH}"] = partial(_faster, figures, GRAPH, 2.0)
    judges["each fused kernel at 85 % or more of the copy bandwidth"] = lambda: _worst(results["kernels"])
    judges["the whole run takes less than 8 minutes"] = lambda: (f"{results['seconds']:.0f} s", results["seconds"] < 480.0)
    return judges


def _cases(figures):
    """The figures of a section that are of single cases; a section that broke off has not measured all."""
    if "failed" in figures:
        raise KeyError("failed")
    return {name: case for name, case in figures.items() if isinstance(case, dict)}


def _all(figures, key, count=1):
    cases = _cases(figures)
    good = [bool(case.get(key)) for case in cases.values()]
    return f"{sum(good)} of {len(good)}", all(good) and len(good) >= count


def _none_in_capture(figures):
    counts = [case["allocations_in_capture"] for case in _cases(figures).values()]
    captured = sum(case["graphs"] for case in _cases(figures).values())
    return f"{sum(counts)} in {captured} captures", sum(counts) == 0 and captured > 0


def _tests(figures):
    parts = figures["of CUDA"], figures["the others"]
    return "; ".join(str(part["summary"]) for part in parts), all(part["exit_code"] == 0 for part in parts)


def _memory(figures):
    if figures.get("compute-sanitizer"):
        return figures["compute-sanitizer"], None
    checks = _cases(figures)
    return "; ".join(f"{name}: {check['summary']}" for name, check in checks.items()), all(
        check["clean"] and check["trained"] for check in checks.values()) and len(checks) == 2


def _faster(figures, peer, least):
    ratio = figures["times_faster_than"][peer]
    return _ratio(ratio, peer, figures), ratio >= least and figures["same_work"][peer]


def _best(figures):
    ratio, peer = min((ratio, peer) for peer, ratio in figures["times_faster_than"].items())
    return _ratio(ratio, peer, figures), ratio >= 1.0 and figures["same_work"][peer]


def _ratio(ratio, peer, figures):
    return f"{ratio:.2f} x {peer}" + ("" if figures["same_work"][peer] else ", which did other work")


def _share(figures):
    share = figures["bare_products"]["share_of_the_step"]
    return f"{share:.1%}", share >= 0.9


def _worst(figures):
    part, name = min((case.get("part_of_copy", 0.0), name) for name, case in _cases(figures).items())
    return f"at worst {part:.1%}, {name}", part >= 0.85
