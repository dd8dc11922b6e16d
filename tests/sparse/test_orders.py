"""Orders: permutations, and what each promises."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from difint.sparse import orders
from difint.sparse.choices import ORDERS
from difint.sparse.pattern import Pattern


def graph_of(pattern):
    turned = pattern.transposed()
    return pattern.indptr, pattern.indices, turned.indptr, turned.indices


def by_sets(pattern):
    """List the other columns with which each column shares a row."""
    dense = pattern.toarray().astype(int)
    return [set(np.flatnonzero(line)) - {j} for j, line in enumerate(dense.T @ dense)]


@st.composite
def patterns(draw):
    m, n, seed = draw(st.integers(0, 12)), draw(st.integers(0, 12)), draw(st.integers(0, 2**32 - 1))
    dense = np.random.default_rng(seed).random((m, n)) < draw(st.sampled_from([0.1, 0.3, 0.8]))
    return Pattern.of(dense)


def check_static(name, order, degrees):
    if name == "natural":
        assert order == list(range(len(order)))
    elif name == "largest_first":
        keys = [(-degrees[v], v) for v in order]
        assert keys == sorted(keys)


def check_dynamic(name, order, near):
    """Each vertex has the most, or the fewest, neighbors among those it is chosen by."""
    if name == "smallest_last":
        order = order[::-1]
    left, done = set(range(len(near))), set()
    for v in order:
        among = {w: len(near[w] & (done if name == "incidence_degree" else left)) for w in left}
        best = min(among.values()) if name == "smallest_last" else max(among.values())
        assert among[v] == best
        left.remove(v)
        done.add(v)


@settings(deadline=None, max_examples=60)
@given(patterns(), st.sampled_from(ORDERS), st.booleans())
def test_orders_of_columns(pattern, name, large):
    made = orders.GroupOrders(graph_of(pattern), 5)
    if large:  # for which the graph of the columns alone is not made
        made.neighbors = None
    order, near = made.order(name).tolist(), by_sets(pattern)
    assert sorted(order) == list(range(pattern.shape[1]))
    check_static(name, order, [len(one) for one in near])
    if name in ("smallest_last", "incidence_degree", "dynamic_largest_first"):
        check_dynamic(name, order, near)


@settings(deadline=None, max_examples=60)
@given(patterns())
def test_neighbors(pattern):
    starts, neighbors = orders.neighbors_by_groups(*graph_of(pattern), 10**6)
    listed = [neighbors[a:b].tolist() for a, b in zip(starts[:-1], starts[1:], strict=True)]
    assert [sorted(one) for one in listed] == [sorted(one) for one in by_sets(pattern)]
    counts = orders.group_degrees(*graph_of(pattern))
    assert counts.tolist() == [len(one) for one in listed]


def test_neighbors_stop_at_a_limit():
    starts, _ = orders.neighbors_by_groups(*graph_of(Pattern.of(np.ones((1, 100)))), 500)
    assert starts is None
    made = orders.GroupOrders(graph_of(Pattern.of(np.ones((1, 100)))), 0)
    assert made.neighbors is None and made.order("smallest_last").size == 100


@pytest.mark.parametrize("name", ORDERS)
def test_large_and_small_agree(name):
    """Ties are broken alike whether the graph of the columns is made or not."""
    dense = np.random.default_rng(0).random((80, 120)) < 0.05
    dense[7] = dense[6]  # the same row twice adds no neighbors
    one, other = (orders.GroupOrders(graph_of(Pattern.of(dense)), 3) for _ in range(2))
    other.neighbors = None
    assert one.neighbors is not None
    np.testing.assert_array_equal(one.order(name), other.order(name))


def test_random_depends_on_the_seed():
    graph = graph_of(Pattern.of(np.eye(50)))
    once, again, other = (orders.GroupOrders(graph, seed).order("random") for seed in (1, 1, 2))
    assert (once == again).all() and (once != other).any()
