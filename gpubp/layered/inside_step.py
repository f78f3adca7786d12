"""Training steps of a small network, many of which are one launch that keeps the network in the shared memory of a GPU."""

from .device_choice import form_of
from .training_step import Step


class InsideStep(Step):
    """The step of a mini-batch of `rows` rows within the launches of an InsideProgram, which all steps of a workspace share."""

    def __init__(self, update, mini_batches, report, rows, program):
        super().__init__(update, mini_batches, report, rows)
        self.run = self.last = program   # an epoch's last step also writes the norms into the report


def inside_steps(update, mini_batches, report, size, rest):
    """{rows: the step}, for mini-batches of `size` rows and a last one of `rest`."""
    network, (arrays, orders) = update.network, zip(*mini_batches.indexed())
    program = update.ops.inside.program(
        form_of(network, update.chain, size), *arrays, *orders, update.clock, update.table, report.log, report.norms,
        [network.vector, *update.state], network.seed)
    return {rows: InsideStep(update, mini_batches, report, rows, program) for rows in {size, rest}}
