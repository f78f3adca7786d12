"""The figures after an epoch as one program: accuracy on training samples, cost and score on the validation set."""

import numpy as np

from .fit_arguments import ACCURACY_SAMPLES
from .inference import chunks
from .input_checks import target_count
from .metrics import middle, total_sum_of_squares
from .plan import Plan
from .task import REGRESSION


class Evaluation:
    """A program that writes to `out` what score_terms gives for the samples, and cost_and_score_terms for the validation set.

    ops has whole_epochs, so arrays are on the host, and calls add to the terms of an epoch chunk by chunk of its rows.
    """

    def __init__(self, ops, arguments, out):
        self.network, self.ops, self.task, self.out, self.plans = arguments.network, ops, arguments.task, out, {}
        self.arguments, self.epoch_program = arguments, None   # arguments: the workspace knows the data by their ids
        self.initial = ops.zeros((1, out.size), np.float64)   # terms before any are added, and those that do not change
        self.calls = [ops.whole_epochs.copy_row(self.initial, out, ops.zeros(1, np.int64))]
        place = 0 if self.task == REGRESSION else self._bind(0, False, *arguments.first(ACCURACY_SAMPLES))
        if arguments.validation:
            self._bind(place, True, *arguments.validation)
        self.program = ops.program(self.calls)

    def _bind(self, place, costs, x, y):
        """The calls for a set of samples, whose first term is out[place]; returns the place behind its terms."""
        total, more, whole = self.out[place:place + 1], self.out[place + int(costs):], self.ops.whole_epochs
        for rows in chunks(len(x)):
            plan, weights = self._plan(rows.stop - rows.start), self.ops.zeros(rows.stop - rows.start, self.network.dtype)
            weights[...] = 1.0 / len(x)
            self.calls += [*map(self.ops.cast, (x[rows], y[rows], weights), (plan.x, plan.y, plan.sample_weights)), *plan.calls]
            self.calls += [whole.add_sum(plan.costs, total)] if costs else []
            if self.task == REGRESSION:
                self.calls.append(whole.add_residual(plan.a[-1], plan.y, more[:1], target_count(self.network)))
            else:
                self.calls.append(whole.add_right(plan.a[-1], plan.y, more[:1], middle(self.network, self.task)))
        if self.task == REGRESSION:
            self.initial[0, place + 2] = total_sum_of_squares(self.network, y)
        return place + 1

    def _plan(self, rows):
        if rows not in self.plans:
            self.plans[rows] = Plan(self.network, rows, ops=self.ops)
        return self.plans[rows]
