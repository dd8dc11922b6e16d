"""Functions of eight variables in JAX: one for each way in which a result depends on x."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.experimental.sparse as js
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental.ode import odeint

RNG = np.random.default_rng(0)
A = RNG.normal(size=(8, 8)) * (RNG.random((8, 8)) < 0.4)
PLACES = np.array([3, 1, 4, 1, 5])
BCOO = js.BCOO.fromdense(A)
BCSR = js.BCSR.fromdense(A)


@jax.custom_vjp
def straight_through(x: Any) -> Any:
    return jnp.round(x)


straight_through.defvjp(lambda x: (jnp.round(x), None), lambda _, t: (t,))


@jax.custom_jvp
def straight_forward(x: Any) -> Any:
    return jnp.round(x)


straight_forward.defjvp(lambda x, t: (jnp.round(x[0]), t[0]))


@jax.custom_vjp
def cube(x: Any) -> Any:
    return x**3


cube.defvjp(lambda x: (x**3, x), lambda x, t: (3 * x**2 * t,))


@jax.custom_jvp
def own_exp(x: Any) -> Any:
    return jnp.exp(x)


@own_exp.defjvp
def _own_exp_rule(x: Any, t: Any) -> Any:
    y = own_exp(*x)  # the rule calls its own function
    return y, y * t[0]


def turned(x: Any, by: int) -> Any:
    """Turn a ring ten times, in a loop."""
    return lax.scan(lambda c, _: (jnp.roll(c, by), None), x, None, length=10)[0]


def turned_often(x: Any) -> Any:
    return lax.scan(lambda c, _: (turned(c, 1), c[0]), x, None, length=10)[0]


def spread_often(x: Any) -> Any:
    """Spread along a line, by a loop in a loop."""

    def inner(c: Any, _: Any) -> Any:
        return c + jnp.concatenate([c[1:], jnp.zeros(1)]), None

    def outer(c: Any, _: Any) -> Any:
        return lax.scan(inner, c, None, length=9)[0][::-1], c[1]

    return jnp.concatenate([*lax.scan(outer, x, None, length=9)])


@jax.custom_vjp
def turned_by_rule(x: Any) -> Any:
    return turned(x, 1)


turned_by_rule.defvjp(lambda x: (turned(x, 1), None), lambda _, t: (turned(t, -1),))

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "id": lambda x: x,
    "diff": jnp.diff,
    "cumsum": jnp.cumsum,
    "cumsum_rev": lambda x: lax.cumsum(x, reverse=True),
    "cumprod": jnp.cumprod,
    "cummax": lambda x: lax.cummax(x),
    "roll": lambda x: jnp.roll(x, 2) * x,
    "reshape": lambda x: x.reshape(2, 4).T.ravel(),
    "outer": lambda x: jnp.outer(x, x[:3]),
    "matmul const": lambda x: A @ x,
    "matmul const left": lambda x: x @ A,
    "matmul jnp": lambda x: jnp.asarray(A) @ x**2,
    "diag@x": lambda x: jnp.diag(x) @ x,
    "diagmul": lambda x: jnp.diag(x) @ jnp.asarray(A) @ x,
    "quad": lambda x: x @ A @ x,
    "idx": lambda x: x[PLACES],
    "idx2": lambda x: x.reshape(2, 4)[:, np.array([0, 2])],
    "jnpidx": lambda x: x[jnp.asarray([0, 3]) + 1],
    "set": lambda x: x.at[PLACES].set(7.0),
    "set2": lambda x: jnp.zeros(10).at[np.array([1, 2, 3])].set(x[:3]),
    "add": lambda x: jnp.zeros(10).at[PLACES].add(x[:5]),
    "addx": lambda x: x.at[PLACES].add(x[:5] ** 2),
    "mulat": lambda x: x.at[np.array([1, 3])].multiply(x[:2], unique_indices=True),
    "minat": lambda x: x.at[np.array([1, 3])].min(x[:2]),
    "wherec": lambda x: jnp.where(np.arange(8) < 3, x, x[::-1]),
    "where": lambda x: jnp.where(x > 0, x, x[::-1]),
    "pad": lambda x: jnp.pad(x, 2),
    "padwrap": lambda x: jnp.pad(x, 2, mode="wrap"),
    "padneg": lambda x: lax.pad(x, 0.0, [(-1, 2, 1)]),
    "concat": lambda x: jnp.concatenate([x[:3], x[5:] * x[:3]]),
    "sort": jnp.sort,
    "argsort": lambda x: x[jnp.argsort(x)],
    "argsortc": lambda x: x[jnp.argsort(jnp.asarray(A[0]))],
    "max": lambda x: jnp.max(x.reshape(2, 4), 1),
    "prod": lambda x: jnp.prod(x.reshape(2, 4), 1),
    "norm": lambda x: jnp.linalg.norm(x),
    "mean": lambda x: x - jnp.mean(x),
    "softmax": lambda x: jax.nn.softmax(x.reshape(2, 4)),
    "lse": lambda x: jax.nn.logsumexp(x.reshape(2, 4), axis=1),
    "relu": jax.nn.relu,
    "silu": jax.nn.silu,
    "gelu": jax.nn.gelu,
    "softplus": jax.nn.softplus,
    "clip": lambda x: jnp.clip(x, -1, 1),
    "abs": jnp.abs,
    "sign": jnp.sign,
    "floor": jnp.floor,
    "round": lambda x: jnp.round(x) + x[::-1],
    "stopg": lambda x: lax.stop_gradient(x) * x[::-1],
    "ste": straight_through,
    "ste2": straight_forward,
    "cub": cube,
    "cubj": own_exp,
    "sterev": lambda x: straight_through(x[::-1]) * straight_forward(x),
    "cubscan": lambda x: lax.scan(lambda c, t: (c * own_exp(t), cube(t)), x[0], x),
    "interp": lambda x: jnp.interp(x, np.arange(5.0), np.arange(5.0) ** 2),
    "interpx": lambda x: jnp.interp(0.5, np.arange(8.0), x),
    "fori": lambda x: lax.fori_loop(0, 8, lambda i, y: y.at[i].set(x[i] ** 2), jnp.zeros(8)),
    "foriadd": lambda x: lax.fori_loop(0, 7, lambda i, y: y.at[i].add(x[i + 1] ** 2), x),
    "fori30": lambda x: lax.fori_loop(0, 30, lambda i, y: y.at[i % 8].add(x[(i + 1) % 8] ** 2), x),
    "while": lambda x: lax.while_loop(
        lambda s: s[0] < 8, lambda s: (s[0] + 1, s[1].at[s[0]].set(x[s[0]] ** 2)), (0, jnp.zeros(8))
    )[1],
    "whileunk": lambda x: lax.while_loop(
        lambda s: jnp.sum(s) < 8, lambda s: s + jnp.roll(s, 1) * jnp.abs(s) + 1, x
    ),
    "whilelin": lambda x: lax.while_loop(lambda s: jnp.sum(s) < 8, lambda s: s + jnp.abs(x), x),
    "scanheat": lambda x: lax.scan(
        lambda c, _: (c + 0.1 * (jnp.roll(c, 1) - c), c[0]), x, None, length=3
    ),
    "scanheat50": lambda x: lax.scan(
        lambda c, _: (c + 0.1 * (jnp.roll(c, 1) - c), c[0]), x, None, length=50
    ),
    "scancum": lambda x: lax.scan(lambda c, t: (c + t, c * t), 0.0, jnp.concatenate([x, x])),
    "scanrev": lambda x: lax.scan(lambda c, t: (c + t, c * t), 0.0, x, reverse=True),
    "scancounter": lambda x: lax.scan(lambda c, i: (c + x[i], c), 0.0, np.arange(8)),
    "scan20ctr": lambda x: lax.scan(
        lambda c, _: ((c[0] + 1, c[1].at[c[0] % 8].mul(2.0)), c[1][0]), (0, x), None, length=20
    ),
    "condx": lambda x: lax.cond(x[0] > 0, lambda x: x, lambda x: x[::-1], x),
    "condc": lambda x: lax.cond(jnp.asarray(1) > 0, lambda x: x, lambda x: x[::-1], x),
    "switch": lambda x: lax.switch(
        jnp.int32(x[0]), [lambda x: x, lambda x: x[::-1], lambda x: 2 * x], x
    ),
    "map": lambda x: lax.map(lambda t: t**2, x),
    "map20": lambda x: lax.map(lambda t: t**2, jnp.tile(x, 3)),
    "dyn": lambda x: lax.dynamic_slice(x, (2,), (3,)),
    "dynx": lambda x: lax.dynamic_slice(x, (jnp.int32(x[0]),), (3,)),
    "dynx2": lambda x: lax.dynamic_slice(x.reshape(2, 4), (0, jnp.int64(x[0])), (2, 2)),
    "dus": lambda x: lax.dynamic_update_slice(x, x[:2] * 2, (3,)),
    "dusx": lambda x: lax.dynamic_update_slice(x, x[:2] * 2, (jnp.int32(x[0]),)),
    "dusx2": lambda x: lax.dynamic_update_slice(
        x.reshape(4, 2), x[:2].reshape(1, 2), (jnp.int64(x[0]), 0)
    ),
    "gatherx": lambda x: x.reshape(2, 4)[:, jnp.int32(x[0]) % 4],
    "scatterx": lambda x: x.at[jnp.int32(x[0])].set(x[1]),
    "conv": lambda x: lax.conv_general_dilated(
        x.reshape(1, 1, 2, 4), jnp.ones((1, 1, 2, 3)), (1, 1), "SAME"
    ),
    "convgroup": lambda x: lax.conv_general_dilated(
        x.reshape(1, 2, 4),
        jnp.asarray(A[:2, :3]).reshape(2, 1, 3),
        (1,),
        "SAME",
        feature_group_count=2,
    ),
    "convT": lambda x: lax.conv_transpose(x.reshape(1, 4, 2), jnp.ones((3, 2, 2)), (2,), "SAME"),
    "convself": lambda x: jnp.convolve(x, x[:3]),
    "convc": lambda x: jnp.convolve(x, np.array([1.0, 0, 2])),
    "poolmax": lambda x: lax.reduce_window(x, -np.inf, lax.max, (2,), (2,), "VALID"),
    "poolcut": lambda x: lax.reduce_window(x, 0.0, lax.add, (2,), (1,), ((-1, 2),)),
    "poolsum": lambda x: lax.reduce_window(x, 0.0, lax.add, (3,), (1,), "SAME"),
    "fft": lambda x: jnp.fft.fft(x.reshape(2, 4)).real,
    "rfft": lambda x: jnp.abs(jnp.fft.rfft(x.reshape(2, 4))),
    "irfft": lambda x: jnp.fft.irfft(x + 0j),
    "solve": lambda x: jnp.linalg.solve(jnp.eye(4) + jnp.outer(x[:4], x[4:]), x[:4]),
    "solvec": lambda x: jnp.linalg.solve(jnp.asarray(A) + 9 * jnp.eye(8), x),
    "solvecols": lambda x: jnp.linalg.solve(np.array([[4.0, 1], [2, 5]]), x.reshape(2, 4)),
    "solvebatch": lambda x: jax.vmap(jnp.linalg.solve)(
        x.reshape(2, 4)[:, :2, None] + np.array([[40.0, 1], [2, 50]]), x.reshape(2, 4)[:, 2:]
    ),
    "trisolve": lambda x: jax.scipy.linalg.solve_triangular(
        jnp.eye(4) + jnp.tril(jnp.outer(x[:4], x[4:])), x[:4], lower=True
    ),
    "tridiag": lambda x: lax.linalg.tridiagonal_solve(
        x.at[0].set(0), x + 9, x.at[-1].set(0), x[:, None]
    ),
    "det": lambda x: jnp.linalg.det(x[:4].reshape(2, 2)),
    "inv": lambda x: jnp.linalg.inv(x.reshape(2, 2, 2) + 5 * jnp.eye(2)),
    "chol": lambda x: jnp.linalg.cholesky(jnp.eye(4) + jnp.outer(x[:4], x[:4])),
    "eigh": lambda x: jnp.linalg.eigh(jnp.diag(x) + 1)[0],
    "expm": lambda x: jax.scipy.linalg.expm(x[:4].reshape(2, 2)),
    "svd": lambda x: jnp.linalg.svd(x.reshape(2, 4), compute_uv=False),
    "igamma": lambda x: jax.scipy.special.gammainc(jnp.abs(x) + 1, x[::-1] ** 2),
    "betainc": lambda x: jax.scipy.special.betainc(2.0, 3.0, jax.nn.sigmoid(x)),
    "erf": jax.scipy.special.erf,
    "lgamma": jax.scipy.special.gammaln,
    "bessel": jax.scipy.special.i0e,
    "bcoo": lambda x: BCOO @ x,
    "bcooT": lambda x: BCOO.T @ x**2,
    "bcsr": lambda x: BCSR @ x,
    "bcoomat": lambda x: (BCOO @ x.reshape(8, 1)) ** 2,
    "sparsify": js.sparsify(lambda x: BCOO @ x),
    "einsum": lambda x: jnp.einsum("ij,kj->ik", x.reshape(2, 4), x.reshape(2, 4)),
    "tensordot": lambda x: jnp.tensordot(x.reshape(2, 2, 2), A[:2, :2], axes=[[1], [0]]),
    "vmap": jax.vmap(lambda t: t**2),
    "vmapdot": lambda x: jax.vmap(jnp.dot)(x.reshape(4, 2), x.reshape(4, 2)),
    "checkpoint": jax.checkpoint(lambda x: jnp.sin(x) * x[::-1]),
    "jit": jax.jit(lambda x: x[1:] * x[:-1]),
    "pow1": lambda x: x**1,
    "pow0": lambda x: x**0,
    "pow2": lambda x: x**2.0,
    "powx": lambda x: jnp.abs(x) ** x[::-1],
    "powc": lambda x: jnp.abs(x) ** np.full(8, 1.5),
    "zeromul": lambda x: x * np.array([0.0, 1] * 4),
    "zerodiv": lambda x: jnp.array([0.0, 1] * 4) / x,
    "tril": lambda x: jnp.tril(jnp.outer(x, x)) @ x,
    "kron": lambda x: jnp.kron(jnp.eye(2), x[:4].reshape(2, 2)),
    "median": lambda x: jnp.median(x),
    "topk": lambda x: lax.top_k(x, 3)[0],
    "topkcols": lambda x: jax.vmap(lambda a: lax.top_k(a, 3)[0], 1)(x.reshape(4, 2)),
    "quantile": lambda x: jnp.quantile(x, 0.3),
    "argmax": lambda x: x[jnp.argmax(x)],
    "segsum": lambda x: jax.ops.segment_sum(x, np.array([0, 0, 1, 1, 2, 2, 2, 0]), 4),
    "hypot": lambda x: jnp.hypot(x, x[::-1]),
    "atan2": lambda x: jnp.arctan2(x, x[::-1]),
    "rem": lambda x: jnp.mod(x, 2.0),
    "empty": lambda x: x[:0],
    "const": lambda x: jnp.ones(3),
    "scalar": lambda x: x[3],
    "random": lambda x: x * jax.random.normal(jax.random.key(0), (8,)),
    "perm": lambda x: x[jax.random.permutation(jax.random.key(0), 8)],
    "unique mask": lambda x: jnp.where(jnp.isnan(x), 0.0, x),
    "nan_to_num": jnp.nan_to_num,
    "searchsorted": lambda x: jnp.searchsorted(np.arange(5.0), x) * x,
    "linspace": lambda x: jnp.linspace(x[0], x[1], 5),
    "meshgrid": lambda x: jnp.meshgrid(x[:3], x[3:5])[0],
    "repeat": lambda x: jnp.repeat(x, 2),
    "scan of products": lambda x: lax.scan(
        lambda c, _: (c + 0.01 * jnp.roll(c, 1) * c, c[0]), x, None, length=12
    )[0],
    "scan of pairs": lambda x: lax.scan(
        lambda c, t: (c + t[0] * t[1], c * t[1]), 0.0, (jnp.tile(x, 2)[1:], jnp.tile(x, 2)[:-1])
    )[1],
    "scan of rings": lambda x: lax.scan(
        lambda c, _: (0.5 * c[::-1] * c, c), x, None, length=9, reverse=True
    )[1],
    "turned often": turned_often,
    "spread often": spread_often,
    "turned by rule": turned_by_rule,
    "zero times infinite": lambda x: jnp.where(
        jnp.zeros(8) * jnp.log(jnp.abs(jnp.concatenate([jnp.ones(2), x[2:]]))) >= 0, x, 0.0
    ),
    "where added": lambda x: jnp.where(jnp.zeros(8).at[PLACES].add(x[:5]) > 0, x, 0 * x),
    "where filled": lambda x: jnp.where(x.at[10].get(mode="fill", fill_value=-1.0) < 0, x, 0 * x),
    "where solved": lambda x: jnp.where(
        jnp.array([0.0, 1] * 4) * jnp.linalg.solve(4 * np.eye(8) + A, x) > 0, x, 0 * x
    ),
    "where multiplied": lambda x: jnp.where(
        x.at[PLACES[:2]].multiply(x[:2], unique_indices=True) > 0, x, x[::-1]
    ),
    "fortran": lambda x: x.reshape(2, 4).reshape(-1, order="F"),
    "tile": lambda x: jnp.tile(x, 2),
    "grad": jax.grad(lambda x: jnp.sum(x[1:] ** 2 * x[:-1])),
    "jvp": lambda x: jax.jvp(lambda x: jnp.sin(x) * x[::-1], (x,), (jnp.ones(8),))[1],
    "assoc": lambda x: lax.associative_scan(jnp.multiply, x),
    "complex": lambda x: jnp.real((x[:4] + 1j * x[4:]) ** 2),
    "polyval": lambda x: jnp.polyval(np.array([1.0, 2, 3]), x),
    "polyvalx": lambda x: jnp.polyval(x, 2.0),
    "stack": lambda x: jnp.stack([x[:4], x[4:] ** 2], 1),
    "unstack": lambda x: jnp.unstack(x.reshape(2, 4), axis=1)[2],
    "reduce": lambda x: lax.reduce(x.reshape(2, 4), 1.0, lambda a, b: a * b + a, (1,)),
    "bits": lambda x: lax.bitcast_convert_type(x, jnp.int64) * x,
    "sorted_gradient": jax.grad(lambda x: jnp.sum(jnp.sort(x[:4] * x[4:]) ** 3)),
    "whilemapped": lambda x: jax.vmap(
        lambda n, a: lax.fori_loop(0, n, lambda i, b: b.at[i + 1].multiply(b[i]), a)
    )(np.array([0, 2, 1, 3]), jnp.stack([x[:4], x[4:], x[::2], x[1::2]])),
    "odeint": lambda x: odeint(lambda y, t: -y, x, jnp.array([0.0, 1.0])),
    "cg": lambda x: jax.scipy.sparse.linalg.cg(lambda v: 2 * v, x)[0],
}

# Where a pattern may be wider than what random points show: an index, an order or a maximum tells
# which entries count, linear algebra mixes what is zero in theory, a loop ends when it does.
WIDE = frozenset(
    """
    cummax minat interpx dynx dynx2 dusx dusx2 gatherx scatterx convgroup fft irfft solvec trisolve
    chol eigh svd median topk quantile argmax odeint cg sort argsort max whileunk scancum
    switch inv perm sorted_gradient topkcols
    """.split()
) | {"where multiplied"}

# Second derivatives that are wider: of results of loops of unknown length, of what is linear in
# its real and imaginary part, of rules whose derivative has none.
WIDE_HESSIANS = WIDE | {"whilelin", "whilemapped", "complex", "sterev", "mulat", "reduce"}
