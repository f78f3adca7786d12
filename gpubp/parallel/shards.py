"""The shards of a mini-batch, the ranks that compute them, and the tree in which their gradients are summed.

All of it depends on the numbers of rows and ranks only. The tree over the shards of a mini-batch is the same for any number of
ranks: a rank has a subtree of it, or a leaf, and sums are exchanged for the nodes above (recursive doubling). Since a + b = b + a
also for rounded sums, both sides of an exchange get the same bits.
"""

from dataclasses import dataclass
from itertools import pairwise

GROUP = 8   # rows: shards begin at multiples of it, where the random bits of a dropout mask begin a new block for any width
MIN_ROWS, FEW, MAX_SHARDS = 128, 4, 1024   # a shard has MIN_ROWS rows or more, unless there are at most FEW shards


def shard_count(rows):
    """The number of shards of a mini-batch, a power of two; at least 2 for more than GROUP rows."""
    return 1 << min(-(-rows // GROUP), max(FEW, rows // MIN_ROWS), MAX_SHARDS).bit_length() - 1


def cut(rows, parts):
    """(first, end) of consecutive parts of the rows, nearly equal, at multiples of GROUP; some are empty if rows are few."""
    groups = -(-rows // GROUP)
    bounds = [min(rows, GROUP * (groups * i // parts)) for i in range(parts + 1)]
    return list(pairwise(bounds))


@dataclass
class Exchange:
    """A node of the tree: receive from the rank `source`, unless it is None, and send to the ranks `targets`.

    adds: whether what comes is added to a sum, or is the first that this rank has.
    """

    source: int | None
    targets: list[int]
    adds: bool


def tree(rank, ranks, shards):
    """((first shard, end) of a rank, its exchanges in order) for the tree over the shards."""
    low, high, first, end, exchanges = 0, ranks, 0, shards, []
    while high - low > 1:
        middle, split = (low + high + 1) // 2, (first + end + 1) // 2
        left, right = range(low, middle), range(middle, high)   # as many ranks on the left, or one more
        mine, theirs, here, there = ((left, right, (first, split), (split, end)) if rank < middle else
                                     (right, left, (split, end), (first, split)))
        partner = lambda rank, own, others: others[min(rank - own[0], len(others) - 1)]
        has, gets = here[1] > here[0], there[1] > there[0]
        targets = [other for other in theirs if has and partner(other, theirs, mine) == rank]
        exchanges.append(Exchange(partner(rank, mine, theirs) if gets else None, targets, has))
        low, high, (first, end) = mine[0], mine[-1] + 1, here
    return (first, end), exchanges[::-1]


@dataclass
class Part:
    """A rank's part of a mini-batch.

    rows: (first, end) of each of its shards among the rows that this rank has in its order. total: the rows of all ranks. places,
    offset: the length of an array with a place for each of them, and the place of the first row in this rank's order.
    numbers: the numbers of its shards among all `shards`. exchanges: the tree above them, or None if the library of MPI sums.
    """

    rows: list[tuple[int, int]]
    total: int
    places: int
    offset: int
    numbers: list[int]
    shards: int
    exchanges: list[Exchange] | None


def part_of(rank, ranks, rows, threads, reduction, partitioned):
    """The Part of a rank. rows: of the mini-batch, or with partitioned only of this rank's part of it."""
    if partitioned:
        pieces, places = cut(rows, shard_count(rows)), GROUP * -(-rows // GROUP)
        numbers = [*range(rank * len(pieces), (rank + 1) * len(pieces))]
        exchanges = None if reduction == "fast" else tree(rank, ranks, ranks)[1]
        return Part(pieces, ranks * rows, ranks * places, rank * places, numbers, ranks * len(pieces), exchanges)
    if reduction == "fast":
        first, end = cut(rows, ranks)[rank]
        pieces = [(first + begin, first + stop) for begin, stop in cut(end - first, threads) if stop > begin]
        return Part(pieces, rows, rows, 0, [rank] * len(pieces), ranks, None)
    shards = shard_count(rows)
    (first, end), exchanges = tree(rank, ranks, shards)
    return Part(cut(rows, shards)[first:end], rows, rows, 0, [*range(first, end)], shards, exchanges)
