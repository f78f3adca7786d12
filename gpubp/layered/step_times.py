"""The times of steps: fit says so if it lost time because threads of the BLAS waited for cores that are in use elsewhere."""

from math import inf

from .. import streams

SLOWER, LOST_SECONDS = 8.0, 2.0   # fit warns of steps this many times slower than the fastest ones, if this much was lost


class StepTimes:
    """Bursts of equal steps and their seconds; the first one is left out, because it prepares programs and memory."""

    said = False   # once per process

    def __init__(self):
        self.steps, self.seconds, self.fastest = -1, 0.0, inf

    def add(self, steps, seconds):
        if self.steps < 0:
            self.steps = 0
        else:
            self.steps, self.seconds = self.steps + steps, self.seconds + seconds
            self.fastest = min(self.fastest, seconds / steps)

    def warn(self, ops):
        """Warn if steps took much longer than the fastest ones, and the BLAS has several threads."""
        quick = self.steps * self.fastest if self.steps > 0 else inf
        if self.seconds > max(SLOWER * quick, quick + LOST_SECONDS) and ops.blas_threads > 1 and not StepTimes.said:
            StepTimes.said = True
            streams.warn(f"expected free cores for {ops.blas_threads} threads of NumPy's BLAS, got steps that took "
                         f"{self.seconds / quick:.0f} times as long as the fastest ones, as on a machine busy with other work, "
                         "where these threads wait for each other: set OPENBLAS_NUM_THREADS=1 before Python starts, or use "
                         "device='cpu:compiled'", RuntimeWarning, stacklevel=5)
