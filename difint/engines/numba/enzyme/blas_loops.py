"""BLAS and LAPACK as plain loops, which Enzyme differentiates.

Matrices are in column order: entry ``i, j`` of ``a`` is ``a[i + j * lda]``. Innermost loops run
along columns where they can, so that LLVM vectorizes them and their derivatives. Each function
takes what the C function takes, but for the kind, and returns what that returns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core.extending import register_jitable

DERIVATIVES = 2
"""The orders of derivatives that are right where a factorization is taken as constant."""


@register_jitable
def _is_plain(flag: Any) -> Any:
    """Tell whether a flag asks for the matrix itself, not for its transpose."""
    return flag == 110 or flag == 78  # n, N


@register_jitable
def _inner(n: Any, x: Any, i: Any, y: Any, j: Any) -> Any:
    """Return the inner product of what lies at ``x[i:]`` and at ``y[j:]``."""
    total = type(x[0])(0)
    for k in range(n):
        total += x[i + k] * y[j + k]
    return total


@register_jitable
def _inner_strided(n: Any, x: Any, i: Any, y: Any, j: Any, step: Any) -> Any:
    """Return the inner product of what lies at ``x[i:]`` and at ``y[j::step]``."""
    total = type(x[0])(0)
    for k in range(n):
        total += x[i + k] * y[j + k * step]
    return total


@register_jitable
def _add(n: Any, factor: Any, x: Any, i: Any, y: Any, j: Any) -> None:
    """Add a multiple of what lies at ``x[i:]`` to what lies at ``y[j:]``."""
    for k in range(n):
        y[j + k] += factor * x[i + k]


def dot(conjugate: Any, n: Any, x: Any, y: Any, out: Any) -> Any:
    """Compute an inner product."""
    out[0] = _inner(n, x, 0, y, 0)
    return np.int32(0)


def nrm2(n: Any, x: Any, step: Any, out: Any) -> Any:
    """Compute a 2-norm, whose derivative at zero is zero."""
    total = _inner(n, x, 0, x, 0) if step == 1 else _squares(n, x, step)
    out[0] = np.sqrt(total) if total > 0 else total
    return np.int32(0)


@register_jitable
def _squares(n: Any, x: Any, step: Any) -> Any:
    """Sum the squares of what lies at ``x[::step]``."""
    total = type(x[0])(0)
    for k in range(n):
        total += x[k * step] * x[k * step]
    return total


@register_jitable
def _copy(m: Any, n: Any, a: Any, lda: Any, b: Any, ldb: Any) -> None:
    """Copy a matrix to ``b``."""
    for j in range(n):
        for i in range(m):
            b[i + j * ldb] = a[i + j * lda]


@register_jitable
def _scale(m: Any, n: Any, beta: Any, c: Any, ldc: Any) -> None:
    """Multiply a matrix by a number; what zero multiplies is not read."""
    for j in range(n):
        for i in range(m):
            c[i + j * ldc] = beta * c[i + j * ldc] if beta != 0 else type(beta)(0)


@register_jitable
def _multiply(
    m: Any, n: Any, k: Any, alpha: Any, a: Any, lda: Any, b: Any, right: Any, c: Any, ldc: Any
) -> None:
    """Add to ``c`` a multiple of ``a @ b``; ``right`` are the steps of ``b``."""
    for j in range(n):
        for p in range(k):
            _add(m, alpha * b[p * right[0] + j * right[1]], a, p * lda, c, j * ldc)


@register_jitable
def _multiply_transposed(
    m: Any, n: Any, k: Any, alpha: Any, a: Any, lda: Any, b: Any, right: Any, c: Any, ldc: Any
) -> None:
    """Add to ``c`` a multiple of ``a.T @ b``; ``right`` are the steps of ``b``."""
    for j in range(n):
        for i in range(m):
            if right[0] == 1:
                product = _inner(k, a, i * lda, b, j * right[1])
            else:
                product = _inner_strided(k, a, i * lda, b, j * right[1], right[0])
            c[i + j * ldc] += alpha * product


def gemm(
    left_flag: Any,
    right_flag: Any,
    m: Any,
    n: Any,
    k: Any,
    alpha: Any,
    a: Any,
    lda: Any,
    b: Any,
    ldb: Any,
    beta: Any,
    c: Any,
    ldc: Any,
) -> Any:
    """Compute ``c = alpha * a @ b + beta * c``, of matrices or their transposes."""
    right = (1, ldb) if _is_plain(right_flag) else (ldb, 1)
    _scale(m, n, beta[0], c, ldc)
    if _is_plain(left_flag):
        _multiply(m, n, k, alpha[0], a, lda, b, right, c, ldc)
    else:
        _multiply_transposed(m, n, k, alpha[0], a, lda, b, right, c, ldc)
    return np.int32(0)


def gemv(flag: Any, m: Any, n: Any, alpha: Any, a: Any, lda: Any, x: Any, beta: Any, y: Any) -> Any:
    """Compute ``y = alpha * a @ x + beta * y``, of a matrix or its transpose."""
    if _is_plain(flag):
        _scale(m, 1, beta[0], y, m)
        _multiply(m, 1, n, alpha[0], a, lda, x, (1, n), y, m)
    else:
        _scale(n, 1, beta[0], y, n)
        _multiply_transposed(n, 1, m, alpha[0], a, lda, x, (1, m), y, n)
    return np.int32(0)


@register_jitable
def _pivot(m: Any, a: Any, start: Any) -> Any:
    """Find the largest entry by magnitude of what lies at ``a[start:]``."""
    best = 0
    for i in range(1, m):
        if abs(a[start + i]) > abs(a[start + best]):
            best = i
    return best


@register_jitable
def _swap_rows(n: Any, a: Any, lda: Any, i: Any, j: Any) -> None:
    """Swap two rows of a matrix of ``n`` columns."""
    if i != j:
        for k in range(n):
            a[i + k * lda], a[j + k * lda] = a[j + k * lda], a[i + k * lda]


@register_jitable
def getrf(m: Any, n: Any, a: Any, lda: Any, pivots: Any) -> Any:
    """Factor into ``P @ L @ U``, in place; return the first column without a pivot."""
    missing = 0
    for k in range(min(m, n)):
        row = k + _pivot(m - k, a, k + k * lda)
        pivots[k] = row + 1
        if a[row + k * lda] != 0:
            _swap_rows(n, a, lda, k, row)
            _eliminate(m - k - 1, n - k - 1, a, lda, k + k * lda)
        elif missing == 0:
            missing = k + 1
    return np.int32(missing)


@register_jitable
def _eliminate(m: Any, n: Any, a: Any, lda: Any, corner: Any) -> None:
    """Divide the column below a pivot by it, and take multiples of it off the columns beside."""
    for i in range(corner + 1, corner + 1 + m):
        a[i] /= a[corner]
    for j in range(1, n + 1):
        _add(m, -a[corner + j * lda], a, corner + 1, a, corner + 1 + j * lda)


@register_jitable
def _substitute(n: Any, a: Any, lda: Any, x: Any, start: Any) -> None:
    """Solve ``L @ U @ x = b`` in place, of the factors that ``getrf`` leaves."""
    for k in range(n):
        _add(n - k - 1, -x[start + k], a, k + 1 + k * lda, x, start + k + 1)
    for k in range(n - 1, -1, -1):
        x[start + k] /= a[k + k * lda]
        _add(k, -x[start + k], a, k * lda, x, start)


def factor_apart(
    n: Any,
    columns: Any,
    a: Any,
    lda: Any,
    pivots: Any,
    b: Any,
    ldb: Any,
    lu: Any,
    x: Any,
    rest: Any,
) -> Any:
    """Factor a copy of ``a``, all without derivatives; return as ``getrf`` does."""
    _copy(n, n, a, lda, lu, n)
    return getrf(n, n, lu, n, pivots)


@register_jitable
def _solve_factored(n: Any, columns: Any, lu: Any, pivots: Any, x: Any) -> None:
    """Solve in place, of the factors that ``getrf`` leaves."""
    for k in range(n):
        _swap_rows(columns, x, n, k, np.intp(pivots[k]) - 1)
    for j in range(columns):
        _substitute(n, lu, n, x, j * n)


def solve_by_refinement(
    n: Any,
    columns: Any,
    a: Any,
    lda: Any,
    pivots: Any,
    b: Any,
    ldb: Any,
    lu: Any,
    x: Any,
    rest: Any,
) -> Any:
    """Solve ``a @ x = b``, in place of ``b``, by factors of ``a`` that are taken as constant.

    The first round makes the solution exact, and each further one an order of its derivatives.
    Derivatives of a factorization would have to keep as many numbers as it has steps.
    """
    _scale(n, columns, type(a[0])(0), x, n)
    for _ in range(1 + DERIVATIVES):
        _copy(n, columns, b, ldb, rest, n)
        _multiply(n, columns, n, type(a[0])(-1), a, lda, x, (1, n), rest, n)
        _solve_factored(n, columns, lu, pivots, rest)
        for j in range(columns):
            _add(n, type(a[0])(1), rest, j * n, x, j * n)
    _copy(n, columns, x, n, b, ldb)
    return np.int32(0)


def getri(n: Any, a: Any, lda: Any, pivots: Any, work: Any) -> Any:
    """Invert a matrix in place, of the factors that ``getrf`` leaves."""
    for j in range(n):
        for i in range(n):
            work[i + j * n] = type(a[0])(1 if i == j else 0)
    for k in range(n):
        _swap_rows(n, work, n, k, np.intp(pivots[k]) - 1)
    for j in range(n):
        _substitute(n, a, lda, work, j * n)
    _copy(n, n, work, n, a, lda)
    return np.int32(0)


def potrf(half: Any, n: Any, a: Any, lda: Any) -> Any:
    """Factor by Cholesky, in place of one half; return the first minor that is not positive."""
    if half == 85 or half == 117:  # U, u
        return _factor_upper(n, a, lda)
    return _factor_lower(n, a, lda)


@register_jitable
def _factor_upper(n: Any, a: Any, lda: Any) -> Any:
    """Factor into ``U.T @ U``, column by column."""
    for j in range(n):
        for i in range(j):
            product = _inner(i, a, i * lda, a, j * lda)
            a[i + j * lda] = (a[i + j * lda] - product) / a[i + i * lda]
        rest = a[j + j * lda] - _inner(j, a, j * lda, a, j * lda)
        if not rest > 0:
            return np.int32(j + 1)
        a[j + j * lda] = np.sqrt(rest)
    return np.int32(0)


@register_jitable
def _factor_lower(n: Any, a: Any, lda: Any) -> Any:
    """Factor into ``L @ L.T``, column by column."""
    for j in range(n):
        for k in range(j):
            _add(n - j, -a[j + k * lda], a, j + k * lda, a, j + j * lda)
        if not a[j + j * lda] > 0:
            return np.int32(j + 1)
        root = np.sqrt(a[j + j * lda])
        for i in range(j, n):
            a[i + j * lda] /= root
    return np.int32(0)
