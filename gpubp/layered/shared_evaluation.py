"""The figures after an epoch of several ranks: each evaluates some pieces of the samples; their number changes no bit."""

from functools import partial

import numpy as np

from .metrics import cost_and_score_terms, score_terms, total_sum_of_squares
from .task import REGRESSION

PIECE_ROWS = 1024


def shared_score_terms(network, arguments):
    """The terms of the accuracy on training samples, then those of cost and score on the validation set; all ranks call it."""
    task, ranks, terms = arguments.task, arguments.ranks, []
    if task != REGRESSION:
        x, y = arguments.first(arguments.scored_samples // ranks.parts)
        terms += _sums(network, ranks, x, 1, lambda rows: score_terms(network, x[rows], y[rows], task), ranks.partitioned)
    if arguments.validation:
        xv, yv = arguments.validation

        def cost_and_score(rows):
            cost, score, *_ = cost_and_score_terms(network, xv[rows], yv[rows], task)
            return [cost * ((rows.stop - rows.start) / xv.shape[0]), score]
        terms += _sums(network, ranks, xv, 2, cost_and_score)
        if task == REGRESSION:
            terms.append(total_sum_of_squares(network, yv))
    return terms


def _sums(network, ranks, x, count, terms, own=False):
    """The sums of terms(rows) over pieces of x in their order; own: whether x are samples of this rank only."""
    pieces = [slice(start, min(start + PIECE_ROWS, x.shape[0])) for start in range(0, x.shape[0], PIECE_ROWS)]
    found, cpu = np.zeros((len(pieces), count)), network.ops.row_blocks

    def evaluate(piece):
        found[piece] = [float(network.ops.to_numpy(value)) for value in terms(pieces[piece])]
    calls = [partial(evaluate, piece) for piece in range(len(pieces))[slice(None) if own else ranks.shared]]
    if calls and cpu:   # one thread of the BLAS for each piece, so that bits do not depend on their number
        cpu.parallel([calls[i::cpu.threads] for i in range(min(cpu.threads, len(calls)))])()
    else:
        for call in calls:
            call()
    return ranks.sum(found).sum(axis=0).tolist()   # each place is one rank's, or holds whole numbers
