"""Shards of mini-batches and the tree that sums them: each row once, and the same bits on every rank, for any number of ranks."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpubp.parallel.shards import GROUP, MAX_SHARDS, cut, part_of, shard_count, tree

RANKS = [1, 2, 3, 4, 5, 6, 7, 8, 13, 16, 64, 100]


def sum_of_tree(values):
    """The reference: halves are summed, then their sums."""
    if len(values) == 1:
        return values[0]
    middle = (len(values) + 1) // 2
    return sum_of_tree(values[:middle]) + sum_of_tree(values[middle:])


def run_exchanges(ranks, shards, values):
    """The sums that all ranks hold after their exchanges, made in rounds by ranks that never wait for a later message."""
    parts = [tree(rank, ranks, shards) for rank in range(ranks)]
    held = [sum_of_tree(values[first:end]) if end > first else None for (first, end), _ in parts]
    todo, messages = [list(exchanges) for _, exchanges in parts], {}
    sent = [False] * ranks
    while any(todo):
        moved = False
        for rank, waiting in enumerate(todo):
            if not waiting:
                continue
            exchange = waiting[0]
            if not sent[rank]:
                sent[rank] = moved = True
                for target in exchange.targets:
                    assert held[rank] is not None, "a rank without a sum sends"
                    messages.setdefault((rank, target), []).append(held[rank])
            source = (exchange.source, rank)
            if exchange.source is not None and not messages.get(source):
                continue
            if exchange.source is not None:
                value = messages[source].pop(0)
                held[rank] = held[rank] + value if exchange.adds else value
            waiting.pop(0)
            sent[rank], moved = False, True
        assert moved, "ranks wait for each other"
    assert not any(messages.values()), "a message is never received"
    return held


@pytest.mark.parametrize("shards", [1, 2, 4, 8, 64, 1024])
@pytest.mark.parametrize("ranks", RANKS)
def test_all_ranks_get_the_sum_of_the_same_tree(ranks, shards, random):
    values = list(random.standard_normal(shards) * 10.0 ** random.integers(-8, 8, shards))
    assert set(run_exchanges(ranks, shards, values)) == {sum_of_tree(values)}


@pytest.mark.parametrize("ranks", RANKS)
def test_one_value_of_each_rank(ranks, random):
    """As with partitioned=True."""
    values = list(random.standard_normal(ranks))
    assert set(run_exchanges(ranks, ranks, values)) == {sum_of_tree(values)}


@given(rows=st.integers(1, 10**6), ranks=st.integers(1, 70), threads=st.integers(1, 9), partitioned=st.booleans(),
       reduction=st.sampled_from(["tree", "fast"]))
def test_each_row_belongs_to_one_shard_of_one_rank(rows, ranks, threads, partitioned, reduction):
    parts = [part_of(rank, ranks, rows, threads, reduction, partitioned) for rank in range(ranks)]
    pieces = [(part.offset + first, part.offset + end) for part in parts for first, end in part.rows]
    assert all(end > first and first % GROUP == 0 for first, end in pieces)
    total = rows * (ranks if partitioned else 1)
    assert sum(end - first for first, end in pieces) == total and all(part.total == total for part in parts)
    assert all(end <= first for (_, end), (first, _) in pairwise(pieces))
    assert pieces[-1][1] <= parts[0].places == parts[-1].places
    assert all(0 <= number < part.shards for part in parts for number in part.numbers)
    assert all(len(part.numbers) == len(part.rows) for part in parts)


@given(st.integers(1, 10**6))
def test_the_number_of_shards_depends_on_the_rows_only_and_is_a_power_of_two(rows):
    count = shard_count(rows)
    assert 1 <= count <= MAX_SHARDS and count & (count - 1) == 0
    assert all(end > first for first, end in cut(rows, count))
    assert count >= 2 or rows <= GROUP


def test_ranks_share_the_work_evenly():
    for ranks in 2, 4, 8, 16:
        sizes = [sum(end - first for first, end in part_of(rank, ranks, 2048, 1, "tree", False).rows) for rank in range(ranks)]
        assert np.ptp(sizes) == 0
