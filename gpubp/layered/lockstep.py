"""The loops of many small networks on a GPU, whose next steps are one launch for all networks of a program."""

from contextlib import ExitStack, closing


def run_in_lockstep(loops, interrupt, progress, ended):
    """Run EpochLoops whose steps are programs of ops.inside; interrupt and progress as for EpochLoop.launches.

    ended(network, error) is called when an error has ended a loop; the others go on.
    """
    groups: dict = {}
    with ExitStack() as stack:
        running = {loop: stack.enter_context(closing(loop.launches(interrupt, progress))) for loop in loops}
        while running:
            counts = {}
            for loop, launches in list(running.items()):
                try:
                    counts[loop] = next(launches)
                except StopIteration:
                    del running[loop]
                except (Exception, KeyboardInterrupt) as error:
                    del running[loop]
                    ended(loop.network, error)
            _launch(counts, groups)


def _launch(counts, groups):
    """Make the next steps of each loop, {loop: their number}. groups: {group_key: (loops, the group of their programs)}."""
    programs = {loop: loop.training_run.program() for loop in counts}
    for key in dict.fromkeys(program.group_key for program in programs.values()):
        loops = [loop for loop, program in programs.items() if program.group_key == key]
        if key not in groups or groups[key][0] != loops:   # at first, or some have ended
            groups[key] = loops, loops[0].workspace.ops.inside.group([programs[loop] for loop in loops])
        groups[key][1]([counts[loop] for loop in loops])
        for loop in loops:
            loop.training_run.count(counts[loop])
