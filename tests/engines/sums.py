"""Functions that are sums, some of which must not be taken apart, for the tests of Hessians."""

import math

import numpy as np


def loop(x):
    s = 0.0
    for i in range(x.size - 1):
        s += 100.0 * (x[i + 1] - x[i] ** 2) ** 2 + (1.0 - x[i]) ** 2
    return s


def broyden(x):
    s = 0.0
    for i in range(x.size):
        r = (3 - 2 * x[i]) * x[i] + 1
        if i > 0:
            r -= x[i - 1]
        if i < x.size - 1:
            r -= 2 * x[i + 1]
        s += r * r
    return 0.5 * s


def broyden_arrays(x):
    r = (3 - 2 * x[1:-1]) * x[1:-1] - x[:-2] - 2 * x[2:] + 1
    return 0.5 * np.sum(r**2)


def neighbours(x):
    s = 0.0
    for i in range(1, x.size - 1):
        s += math.exp(0.1 * x[i - 1]) * math.sin(x[i]) / (2.0 + x[i + 1] ** 2)
        s += math.atan2(x[i], 2.0 + x[i + 1]) + np.sqrt(1 + x[i] ** 2) * x[i - 1] ** 3
    return s


def powers(x):
    return np.sum(np.abs(x[1:]) ** (1 + x[:-1] ** 2)) + np.sum(2.0**x + x**-3 + x**2.5 + 1 / x)


def kinks(x):
    return np.sum(np.maximum(x[1:], x[:-1]) ** 2) + np.sum(np.floor(x) * x + np.clip(x, 0.3, 1))


def subtracting(x):
    s = 1.0
    for i in range(x.size - 1):
        s -= x[i] * x[i + 1] ** 2
    return -s


def mean(x):
    return np.mean(x[1:] ** 3 * np.cos(x[:-1]))


def weighted(x):
    smooth, rough = np.sum(x[1:] ** 2 * x[:-1]), np.sum(np.abs(x) ** 3)
    return 0.5 * smooth + 0.1 * rough - np.mean(np.exp(x))


def linear_part(x):
    s = 0.0
    for i in range(x.size):
        s += 2.0 * x[i]
    return s + x @ x - np.dot(x[1:], x[:-1] ** 2)


def branching(x):
    s = 0.0
    for i in range(x.size - 1):
        t = x[i] if x[i] > x[i + 1] else x[i] * x[i + 1] ** 3
        s += t**2
    return s


def two_sums(x):
    a = b = 0.0
    for i in range(x.size - 1):
        a += x[i] ** 2 * x[i + 1]
        b -= np.exp(x[i])
    return a - b


def choosing(x):
    return np.sum(np.where(x > 0.6, x**3, x**2))


def grid(x):
    u, s = x.reshape(1, x.size), 0.0
    for j in range(x.size - 1):
        s += (u[0, j + 1] - u[0, j]) ** 2 * np.cos(u[0, j])
    return s


def inner_sum(x):
    s = 0.0
    for i in range(1, x.size - 1):
        t = 0.0
        for j in range(-1, 2):
            t += (j + 2.0) * np.sin(x[i + j])
        s += np.exp(t) * x[i] / (1 + t * t) - np.arctan2(t, x[i]) + 2.0**t / 3
    return 0.5 * s


def own_array(x):
    y = np.empty_like(x)
    for i in range(x.size - 1):
        y[i] = x[i] * x[i + 1]
    y[-1] = 3.0
    return np.sum(np.sin(y))


def copied(x):
    y = x.copy()
    y[1:] *= x[:-1]
    return np.sum(y**2)


def few(x):
    z = np.zeros(2, x.dtype)
    for i in range(x.size):
        z[i % 2] += x[i] ** 3
    return z[0] + z[1]


TERMS = [
    *(loop, broyden, broyden_arrays, neighbours, powers, kinks, subtracting, mean, weighted),
    *(linear_part, branching, two_sums, choosing, grid, few),
]
BLENDS = [inner_sum, own_array, copied]


def squared_sum(x):
    s = 0.0
    for i in range(x.size):
        s += x[i] ** 2
    return s * s


def root(x):
    return np.sqrt(np.sum(x**2))


def exponential(x):
    return np.exp(-np.sum(x**2) / x.size)


def dead(x):
    s = d = 0.0
    for i in range(x.size - 1):
        s += x[i] ** 2 * x[i + 1]
        d += x[i] ** 3
    return s if d < 1e9 else d


def doubled(x):
    s = 0.0
    for i in range(x.size - 1):
        s += x[i] ** 2 * x[i + 1]
    return s + s


def both(x):
    s = 0.0
    for i in range(x.size - 1):
        s += x[i] ** 2 * x[i + 1]
    t = s / 3
    return s + t


def scaled_beside(x):
    s = 0.0
    for i in range(x.size - 1):
        s += x[i] ** 2 * x[i + 1]
    t = s / x.size
    return s if t < 1e9 else t


def branched_off(x):
    s = 0.0
    for i in range(x.size - 1):
        s += x[i] ** 2 * x[i + 1]
    t = s + x[0] ** 4
    return s if t < 1e9 else t


def scaled_between(x):
    s = 0.0
    for _ in range(3):
        for i in range(x.size - 1):
            s += x[i] ** 2 * x[i + 1]
        s = -2 * s / 3
    return s


def nested(x):
    s = 0.0
    for i in range(x.size - 1):
        t = 0.0
        for j in range(2):
            t += x[i + j] ** 2
        s += 0.5 * t
    return s


def one_before(x):
    s = before = 0.0
    for i in range(x.size - 1):
        before = s
        s += x[i] ** 2 * x[i + 1]
    return before


def many_sums(x):
    total = np.zeros(x.size, x.dtype)
    for i in range(x.size - 1):
        for j in range(3):
            total[i] += x[i] ** (j + 1) * x[i + 1]
    return 2 * np.sum(total[::2]) + np.sum(total[1::2])


HARD = [
    *(squared_sum, root, exponential, dead, doubled, both, scaled_beside, branched_off),
    *(scaled_between, nested, one_before, many_sums),
]
