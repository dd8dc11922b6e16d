"""Convolutions of index sets, compared with a loop over windows."""

import itertools
import time

import numpy as np
import pytest

from difint.dependence.arrays import Dependent, constant, unknown
from difint.dependence.convolution import Windows, convolved
from difint.dependence.sets import Sets

# Shapes of the array and of the weights; strides, padding, dilations; groups.
CASES = {
    "plain": ((1, 1, 6), (1, 1, 3), [1], [(0, 0)], [1], [1], 1),
    "padded": ((2, 1, 5), (1, 1, 3), [1], [(1, 1)], [1], [1], 1),
    "strided": ((1, 2, 7), (3, 2, 3), [2], [(2, 0)], [1], [1], 1),
    "cropped": ((1, 1, 7), (1, 1, 2), [1], [(-2, -1)], [1], [1], 1),
    "dilated window": ((1, 1, 9), (1, 1, 3), [1], [(1, 2)], [1], [2], 1),
    "dilated array": ((1, 2, 4), (2, 2, 3), [1], [(2, 2)], [3], [1], 1),
    "groups": ((2, 4, 5), (6, 2, 2), [1], [(1, 0)], [1], [1], 2),
    "depthwise": ((1, 3, 4), (3, 1, 2), [1], [(0, 0)], [1], [1], 3),
    "plane": ((1, 2, 4, 5), (2, 2, 2, 3), [2, 1], [(1, 0), (1, 1)], [1, 2], [2, 1], 1),
    "space": ((1, 1, 3, 3, 3), (1, 1, 2, 2, 2), [1, 2, 1], [(0, 1)] * 3, [1] * 3, [1] * 3, 1),
    "no room": ((1, 1, 2), (1, 1, 4), [1], [(0, 0)], [1], [1], 1),
    "empty": ((0, 2, 3), (2, 2, 2), [1], [(0, 0)], [1], [1], 1),
    "point": ((1, 2), (3, 2), [], [], [], [], 1),
}
BY_CASE = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def products(case):
    """List, for each entry of the result, the entries of the array and of the weights that meet."""
    (count, channels, *sizes), (features, depth, *window), strides, padding, apart, wide, n = case
    axes = range(len(sizes))
    whole = [(sizes[d] - 1) * apart[d] + 1 for d in axes]
    span = [(window[d] - 1) * wide[d] + 1 for d in axes]
    shape = [max(0, (whole[d] + sum(padding[d]) - span[d]) // strides[d] + 1) for d in axes]
    made = {}
    for entry in np.ndindex(count, features, *shape):
        i, o, *at = entry
        made[entry] = []
        for c, *k in np.ndindex(depth, *window):
            place = [at[d] * strides[d] + k[d] * wide[d] - padding[d][0] for d in axes]
            if all(0 <= p < w and p % a == 0 for p, w, a in zip(place, whole, apart, strict=True)):
                channel = o // (features // n) * depth + c
                source = (i, channel, *(p // a for p, a in zip(place, apart, strict=True)))
                made[entry].append((source, (o, c, *k)))
    return (count, features, *shape), made


def prepared(case, which, weights=None, **options):
    """Make both operands, of which those in ``which`` depend, and number their entries."""
    shapes = [case[0], case[1]]
    sizes = [int(np.prod(shape)) for shape in shapes]
    wanted = [name in which for name in ("array", "weights")]
    sets = Sets(sum(size for size, mine in zip(sizes, wanted, strict=True) if mine), **options)
    made, numbers, start = [], [], 0
    for shape, size, mine in zip(shapes, sizes, wanted, strict=True):
        numbers.append(np.full(shape, -1))
        if not mine:
            made.append(unknown(shape) if weights is None else constant(weights))
            continue
        numbers[-1] = np.arange(start, start + size).reshape(shape)
        made.append(Dependent(sets.entries((sets.size,))[start : start + size].reshape(shape)))
        start += size
    return sets, made, numbers


def convolve(sets, made, case):
    return convolved(sets, *made, Windows(*case[2:6]), case[6])


def listed(rows):
    return [set(one.tolist()) for one in np.split(rows.columns, rows.indptr[1:-1])]


@BY_CASE
@pytest.mark.parametrize("which", ["array", "weights", "array, weights"])
def test_windows_are_united(case, which):
    sets, made, (left, right) = prepared(case, which)
    shape, meeting = products(case)
    found = convolve(sets, made, case)
    assert found.shape == shape
    wanted = []
    for pairs in meeting.values():
        members = {int(left[a]) for a, _ in pairs} | {int(right[b]) for _, b in pairs}
        wanted.append(members - {-1})
    if wanted:
        assert listed(sets.jacobian(found.nodes)) == wanted


@BY_CASE
def test_weights_that_are_zero_are_left_out(case):
    weights = np.arange(np.prod(case[1])).reshape(case[1]) % 2 * 1.0
    sets, made, (left, _) = prepared(case, "array", weights)
    shape, meeting = products(case)
    found = convolve(sets, made, case)
    wanted = [{int(left[a]) for a, b in pairs if weights[b]} for pairs in meeting.values()]
    assert found.shape == shape
    if wanted:
        assert listed(sets.jacobian(found.nodes)) == wanted


@BY_CASE
def test_what_is_multiplied_bends(case):
    sets, made, (left, right) = prepared(case, "array, weights", curved=True)
    _, meeting = products(case)
    found = convolve(sets, made, case)
    bends = np.empty(0, np.int32) if found.bends is None else found.bends
    wanted = np.zeros((sets.size, sets.size), bool)
    for a, b in itertools.chain(*meeting.values()):
        wanted[left[a], right[b]] = wanted[right[b], left[a]] = True
    assert listed(sets.hessian(bends)) == [set(np.flatnonzero(row).tolist()) for row in wanted]


def test_fixed_weights_keep_pairs():
    case = CASES["padded"]
    sets, made, _ = prepared(case, "array", curved=True)
    squares = sets.pair(made[0].nodes, made[0].nodes)
    made[0] = Dependent(made[0].nodes, squares)
    rows = sets.hessian(convolve(sets, made, case).bends)
    assert listed(rows) == [{i} for i in range(sets.size)]


def test_what_is_known_is_computed_and_local_values_too():
    case = CASES["plain"]
    both = [constant(np.ones(case[0])), constant(np.ones(case[1]))]
    made = convolved(Sets(0), *both, Windows(*case[2:6]), 1, lambda: np.full((1, 1, 4), 3.0))
    assert made.nodes is None and (made.value == 3.0).all()
    sets, parts, _ = prepared(case, "array", local=True)
    made = convolved(sets, *parts, Windows(*case[2:6]), 1, lambda: np.full((1, 1, 4), 3.0))
    assert made.depends and (made.value == 3.0).all()


def test_a_large_one_is_quick():
    case = ((1, 1, 128, 128), (1, 1, 3, 3), [1, 1], [(1, 1)] * 2, [1, 1], [1, 1], 1)
    small = ((1, 1, 4, 4), *case[1:])
    for one in (small, case):  # the first call loads compiled code
        sets, made, _ = prepared(one, "array")
        begun = time.perf_counter()
        rows = sets.jacobian(convolve(sets, made, one).nodes)
        taken = time.perf_counter() - begun
    assert rows.columns.size == (3 * 128 - 2) ** 2
    assert taken < 1.0
