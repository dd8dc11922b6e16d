"""Functions of NumPy arrays whose patterns are found: tables for tests."""

import enum
import functools
import math
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse
import scipy.special
from numpy import zeros as bare_zeros

X = np.array([0.3, 1.2, -0.7, 0.9, 1.6, -1.1])
C = np.array([2.0, 0.0, -1.0, 0.5, 0.0, 3.0])
A = np.array([[1.0, 0, 2, 0, 0, 0], [0, 3.0, 0, 0, 0, 4], [0, 0, 0, 0, 5, 0], [6, 0, 0, 7, 0, 8]])
BUFFER = np.zeros(6)


def grid(x):
    return x.reshape(2, 3)


def helper(x):
    out = np.empty_like(x)
    for i in range(x.size):
        out[i] = x[i] + x[(i + 1) % x.size]
    return out


def loop(x):
    out = np.zeros(x.size)
    for i in range(1, x.size - 1):
        out[i] = x[i - 1] * x[i] - x[i + 1]
    return out


def masked(x):
    y = x.copy()
    y[x > 0] = 0.0
    y[np.array([True, False] * 3)] *= 2
    return y


def added_at(x):
    out = np.zeros(3)
    np.add.at(out, [0, 2, 0], x[:3])
    return out


def swapped(x):
    y = x.copy()
    y[0], y[1] = x[1], x[0]
    a, b = y[:3], y[3:]
    a += b
    return y


def accumulated(x):
    total = 0.0
    parts = []
    for one in x:
        total = total + one**2
        parts.append(total)
    return np.array(parts)


def buffered(x):
    BUFFER[:] = 0.0
    BUFFER[1:] = x[:-1]
    return BUFFER * 1.0


def locally_imported(x):
    import numpy.linalg as la
    from numpy import ones

    out = ones(2)
    out[0] = la.norm(x[:2])
    return out


class Model:
    def __init__(self, shift):
        self.shift = shift

    def rate(self, x):
        out = np.zeros(x.shape)
        out[:-1] = np.diff(x) * self.shift
        return out

    def __call__(self, x):
        return self.rate(x)


class State(Model):
    def __init__(self, x):
        super().__init__(2.0)
        self.x = x

    def rate(self, x):
        assert isinstance(self, State) and type(self) is State
        out = np.zeros(x.shape)
        out[1:] = x[:-1] * self.x[0] + super().rate(x)[1:] * 0.5
        return out


@np.vectorize
def vectorized(a):
    return a**2


def nested(x):
    def inner(i):
        return math.sin(x[i]) * math.pow(x[0], 2)

    return np.array([inner(i) for i in range(3)] + [math.hypot(x[3], x[4])])


def filled_by_slices(x):
    out = bare_zeros((2, 3))
    out[:, 1:] = grid(x)[:, :-1]
    view = out[1]
    view[0] = x[5]
    return out


def put(x):
    out = np.zeros(6)
    np.put(out, [1, 3], x[:2])
    np.fill_diagonal(out[:4].reshape(2, 2), x[2])
    np.copyto(out[4:], x[4:], where=np.array([True, False]))
    return out


class Mode(enum.Enum):
    FIRST = 1


@dataclass(frozen=True)
class Grid:
    width: float
    weights: object
    mode: Mode = Mode.FIRST

    @property
    def scales(self):
        return np.zeros(6) + self.weights

    @staticmethod
    def zero(x):
        return np.zeros(x.size)

    def slopes(self, x):
        out, scales = self.zero(x), self.scales
        for i in range(x.size - 1):
            scales[i] = x[i + 1] - x[i]
            out[i] = scales[i] / self.width
        return out if self.mode is Mode.FIRST else x


@dataclass(frozen=True, slots=True)
class Layer:
    grid: Grid
    work: object = field(default_factory=lambda: np.zeros(6))

    def __call__(self, x):
        assert self == Layer(self.grid, self.work)
        self.work[:] = self.grid.slopes(x)
        self.work[0] *= x[5]
        return self.work + 0.0


LAYER = Layer(Grid(0.5, C))


def counted(x):
    count = 0

    def step(a):
        nonlocal count
        count += 1
        return a * count

    with np.errstate(all="raise"):
        return np.array([step(a) for a in x])


def recursive(x):
    return x if x.size < 4 else np.concatenate([recursive(x[2:]), x[:1] ** 2])


@functools.lru_cache
def table(n):
    return np.arange(n) % 2


def unpacked(x):
    a, b, *rest = x
    total = sum(rest[:2])
    pairs = [p * q for p, q in zip(x[1:3], x[:2], strict=True)]
    return np.array([a, b * total, *pairs, *(r**2 for r in rest)])


def reset(x):
    out = x * 0
    out[2] = x[0]
    out[3:5] += [x[1], 2.0]
    out[-1] = max(x[3], -9.0)
    return out


def doubled(x):
    def wrap(g):
        @functools.wraps(g)
        def twice(*args):
            return 2 * g(*args)

        return twice

    return wrap(helper)(x)


def columns(x):
    m = np.empty((3, 2))
    for i, row in enumerate(m):
        row[:] = x[i]
    m[:, 1] += x[3:]
    m.T[0, 0] = x[5]
    return m


# Functions whose pattern is found exactly.
EXACT = {
    "dataclass": Grid(0.5, C).slopes,
    "dataclass in a closure": lambda x: LAYER.grid.slopes(x) * LAYER.grid.weights,
    "callable with slots": lambda x: LAYER(x),
    "nonlocal": counted,
    "made inside": lambda x: State(x[3:]).rate(x),
    "recursive": recursive,
    "cached": lambda x: x * table(6),
    "unpacked": unpacked,
    "reset": reset,
    "windows": lambda x: np.lib.stride_tricks.sliding_window_view(x, 2).sum(1),
    "strides": lambda x: np.lib.stride_tricks.as_strided(x, (2, 2), (24, 8)) * 2,
    "ndenumerate": lambda x: np.array([a * i[0] for i, a in np.ndenumerate(x)]),
    "fromiter": lambda x: np.fromiter((a * 2 for a in x[::-1]), float),
    "decorated": doubled,
    "columns": columns,
    "copies": lambda x: np.array(x, dtype=float)[:3] * np.copy(x)[3:] + list(x)[0],
    "identity": lambda x: x,
    "sin": np.sin,
    "neighbors": lambda x: x[1:] * x[:-1],
    "diff": np.diff,
    "diff2": lambda x: np.diff(x, 2),
    "roll": lambda x: np.roll(x, 1) + x,
    "known factors": lambda x: C * x,
    "known quotient": lambda x: x[0] / (1 + C**2) * C,
    "powers": lambda x: x ** np.array([0, 1, 2, 3, 0, 1]),
    "power 0": lambda x: x**0 + x,
    "clip": lambda x: np.clip(x, -5, 5),
    "clip method": lambda x: x.clip(min=-5),
    "maximum": lambda x: np.maximum(x, -9.0),
    "absolute": lambda x: abs(x) + np.sign(x) * 0,
    "floor": lambda x: np.floor(x) + x[0],
    "modf": lambda x: np.modf(x)[0],
    "divmod": lambda x: divmod(x, 0.37)[1],
    "copysign": lambda x: np.copysign(x, x[::-1]),
    "arctan2": lambda x: np.arctan2(x[:3], x[3:]),
    "where known": lambda x: np.where(C > 0, x, x[::-1]),
    "where x": lambda x: np.where(x > -9.0, x, 0.0),
    "where out": lambda x: np.multiply(x, 2.0, out=np.zeros(6), where=C > 0),
    "erf": scipy.special.erf,
    "reshape": lambda x: grid(x) @ np.array([[1.0, 0], [0, 2], [0, 0]]),
    "transpose": lambda x: grid(x).T[1] * 2,
    "moveaxis": lambda x: np.moveaxis(x.reshape(1, 2, 3), 0, -1).swapaxes(0, 1)[:2],
    "flip": lambda x: np.flip(x) - np.rot90(grid(x)).ravel()[::-1],
    "concatenate": lambda x: np.concatenate([x[3:], np.ones(2), x[:1]]),
    "stack": lambda x: np.stack([x, x[::-1]], axis=1),
    "hstack": lambda x: np.hstack((x[:2], 1.0, x[5])),
    "vstack": lambda x: np.vstack((x[:2], np.zeros(2))),
    "block": lambda x: np.block([[grid(x), np.zeros((2, 1))], [x[:4]]]),
    "append": lambda x: np.append(x, x[0]),
    "column_stack": lambda x: np.column_stack((x, C)),
    "r_": lambda x: np.r_[x[:2], 0.0, x[3]],
    "split": lambda x: np.split(x, 3)[1],
    "repeat": lambda x: np.repeat(x, 2),
    "tile": lambda x: np.tile(x, 2),
    "pad": lambda x: np.pad(x, (1, 2)),
    "pad edge": lambda x: np.pad(x, 1, mode="edge"),
    "pad wrap": lambda x: np.pad(grid(x), ((0, 0), (1, 1)), mode="wrap"),
    "take": lambda x: np.take(x, [3, 3, 0]),
    "take_along_axis": lambda x: np.take_along_axis(grid(x), np.array([[0], [2]]), 1),
    "choose": lambda x: np.choose([0, 1, 0], [x[:3], x[3:]]),
    "diag": lambda x: np.diag(x[:3]) + np.diag(x[:2], 1),
    "diagonal": lambda x: grid(x)[:, :2].diagonal(),
    "tril": lambda x: np.tril(np.outer(x[:2], np.ones(2))),
    "squeeze": lambda x: np.squeeze(x[None, :, None]),
    "broadcast_to": lambda x: np.broadcast_to(x[:2], (3, 2)),
    "atleast_2d": lambda x: np.atleast_2d(x) + 0,
    "meshgrid": lambda x: np.meshgrid(x[:2], x[2:4])[0],
    "delete": lambda x: np.delete(x, 2),
    "insert": lambda x: np.insert(x, 1, x[5]),
    "flatten": lambda x: grid(x).flatten("F"),
    "astype": lambda x: x.astype(np.float32).astype(float)[:2] * 0 + x[:2],
    "integers": lambda x: x.astype(int) + x,
    "fancy": lambda x: x[[1, 1, 4]] * x[np.array([0, 2, 4])],
    "boolean": lambda x: x[C > 0],
    "fancy 2d": lambda x: grid(x)[[0, 1], [2, 0]],
    "newaxis": lambda x: x[:2, None] * x[None, 2:4],
    "ellipsis": lambda x: grid(x)[..., -1],
    "select": lambda x: np.select([C > 1, C < 0], [x, x[::-1]], 0.0),
    "piecewise": lambda x: np.piecewise(x, [x < -9, x >= -9], [0.0, lambda v: v * 2]),
    "compress": lambda x: np.compress([True, False, True], x),
    "swapped": swapped,
    "put": put,
    "loop": loop,
    "filled by slices": filled_by_slices,
    "added at": added_at,
    "helper": lambda x: helper(x) * C,
    "accumulated": accumulated,
    "buffered": buffered,
    "imported": locally_imported,
    "method": Model(2.0).rate,
    "callable": Model(2.0),
    "partial": functools.partial(lambda a, x: helper(x) * a, 2.0),
    "vectorize": lambda x: vectorized(x),
    "nested": nested,
    "float": lambda x: np.array([float(x[0]), max(x[1], -9.0), float(x @ C)]),
    "list": lambda x: np.array([[x[0], 1.0], [x[1] * x[2], x[3]]]),
    "list argument": lambda x: np.sum([x[0], x[1]]) + np.sin([x[2], 1.0]),
    "sum": lambda x: grid(x).sum(axis=0),
    "sum all": lambda x: np.sum(x[:3]),
    "sum where": lambda x: np.sum(x, where=C > 0),
    "sum keepdims": lambda x: x[:3] - np.sum(x[3:], keepdims=True),
    "mean": lambda x: np.mean(grid(x), 1, keepdims=True),
    "prod": lambda x: np.prod(grid(x), axis=-1),
    "cumsum": lambda x: np.cumsum(x),
    "cumsum axis": lambda x: grid(x).cumsum(1),
    "cumprod": lambda x: np.cumprod(x),
    "cumulative_sum": lambda x: np.cumsum(grid(x), axis=0),
    "add.reduce": lambda x: np.add.reduce(grid(x)),
    "add.reduceat": lambda x: np.add.reduceat(x, [0, 2, 3]),
    "multiply.outer": lambda x: np.multiply.outer(x[:2], x[2:4]),
    "subtract.accumulate": lambda x: np.subtract.accumulate(x),
    "dot": lambda x: np.dot(A, x),
    "dot of vectors": lambda x: x.dot(C),
    "matmul": lambda x: A @ x,
    "rmatmul": lambda x: x[:4] @ A,
    "matmul both": lambda x: grid(x) @ grid(x).T,
    "matmul stack": lambda x: np.ones((2, 2, 2)) @ x[:4].reshape(2, 2, 1),
    "inner": lambda x: np.inner(grid(x), np.array([1.0, 0, 2])),
    "outer": lambda x: np.outer(x[:2], x[3:]),
    "vdot": lambda x: np.vdot(x, C),
    "tensordot": lambda x: np.tensordot(grid(x), np.eye(3)[:, :2], 1),
    "einsum": lambda x: np.einsum("ij,kj->ik", A, x.reshape(1, 6)),
    "einsum trace": lambda x: np.einsum("ii", x[:4].reshape(2, 2)),
    "einsum batch": lambda x: np.einsum("bi,bi->b", grid(x), grid(x)[::-1]),
    "einsum three": lambda x: np.einsum("i,j,k->ik", x[:2], C[:2], x[2:4]),
    "einsum ellipsis": lambda x: np.einsum("...i,i->...", grid(x), np.array([1.0, 0, 1])),
    "kron": lambda x: np.kron(x[:2], np.array([1.0, 0.0])),
    "convolve": lambda x: np.convolve(x, [1.0, 0.0, 2.0]),
    "convolve same": lambda x: np.convolve(x, [1.0, 2.0, 3.0, 4.0], "same"),
    "convolve valid": lambda x: np.convolve([1.0, -2.0], x, mode="valid"),
    "correlate": lambda x: np.correlate(x, [1.0, 2.0]),
    "correlate same": lambda x: np.correlate([1.0, 2.0], x, "same"),
    "cross": lambda x: np.cross(x[:3], x[3:]),
    "trace": lambda x: np.trace(x[:4].reshape(2, 2)),
    "gradient": lambda x: np.gradient(x),
    "trapezoid": lambda x: np.trapezoid(grid(x), dx=0.1),
    "interp": lambda x: np.interp(x, np.linspace(-2, 2, 5), np.arange(5.0) ** 2),
    "interp table": lambda x: np.interp([0.5, 3.5], np.arange(6.0), x),
    "norm": lambda x: np.linalg.norm(grid(x), axis=1),
    "std": lambda x: np.std(grid(x), axis=0),
    "var": lambda x: grid(x).var(1),
    "average": lambda x: np.average(grid(x), axis=1, weights=[1.0, 2.0, 3.0]),
    "ptp": lambda x: np.ptp(x[:2]),
    "solve": lambda x: np.linalg.solve(np.array([[2.0, 1], [1, 3]]), x[:2]),
    "inv stack": lambda x: np.linalg.inv(x.reshape(2, 3)[:, [[0, 1], [2, 0]]]),
    "det": lambda x: np.linalg.det(x[:4].reshape(2, 2)),
    "fft": lambda x: np.fft.rfft(grid(x), axis=1).real,
    "bincount": lambda x: np.bincount([0, 2, 0, 1, 1, 2], weights=x),
    "sparse": lambda x: scipy.sparse.csr_array(A) @ x,
    "sparse matrix": lambda x: scipy.sparse.csc_matrix(A) * x,
    "sparse dot": lambda x: scipy.sparse.csr_array(A).dot(x.reshape(6, 1)),
    "sparse coo": lambda x: scipy.sparse.coo_array(A) @ x,
    "sparse right": lambda x: x[:4] @ scipy.sparse.csr_array(A),
    "nan_to_num": lambda x: np.nan_to_num(x),
    "sinc": lambda x: np.sinc(x),
    "heaviside": lambda x: np.heaviside(x, 0.5) + x,
    "apply_along_axis": lambda x: np.apply_along_axis(np.sum, 1, grid(x)),
    "full": lambda x: np.full(2, x[1]),
    "full_like": lambda x: np.full_like(x, x[0]),
    "linspace": lambda x: np.linspace(x[0], x[1], 4)[1:3],
    "vander": lambda x: np.vander(x[:2], 2),
    "polyval": lambda x: np.polyval([1.0, 0.0, 2.0], x),
    "item": lambda x: np.array([x[0].item(), x.item(1), x.tolist()[2]]),
    "unwrap": lambda x: np.ediff1d(x),
    "round": lambda x: np.round(x / 9) + round(x[0] / 9) + x,
    "logaddexp": lambda x: np.logaddexp(x[:3], x[3:]),
    "complex": lambda x: (np.exp(1j * x)).real + abs(1j * x[0]),
    "min all": lambda x: np.min(x[:1]) + x[1:2].max(),
    "sort one": lambda x: np.sort(x.reshape(6, 1), axis=1),
    "unknown index": lambda x: x[:1][np.argsort(x[:1])],
    "f order": lambda x: np.asfortranarray(grid(x)).ravel(order="K"),
}

# Functions whose pattern may be wider than differences see.
WIDE = {
    "comparisons": lambda x: x * (x[::-1] > 0.0) + (x > -9.0),
    "masked": masked,
    "masked rows": lambda x: masked_rows(x),
    "maximum both": lambda x: np.maximum(x, x[::-1]),
    "max": lambda x: np.max(grid(x), axis=1),
    "sort": lambda x: np.sort(grid(x)),
    "median": lambda x: np.median(x),
    "percentile": lambda x: np.percentile(grid(x), [20, 50], axis=1),
    "where both": lambda x: np.where(x > 0, x, x[::-1]),
    "argmax": lambda x: x * np.argmax(x),
    "argsort": lambda x: x[np.argsort(x)],
    "eigvalsh": lambda x: np.linalg.eigvalsh(x[:4].reshape(2, 2)),
    "eigh": lambda x: np.linalg.eigh(np.diag(x[:3]) + 1).eigenvalues,
    "svd": lambda x: np.linalg.svd(grid(x), compute_uv=False),
    "slogdet": lambda x: np.linalg.slogdet(x[:4].reshape(2, 2))[1],
    "qr": lambda x: np.linalg.qr(grid(x))[1],
    "pinv": lambda x: np.linalg.pinv(grid(x)),
    "lstsq": lambda x: np.linalg.lstsq(A.T, x, rcond=None)[0],
    "matrix_power": lambda x: np.linalg.matrix_power(x[:4].reshape(2, 2), 3),
    "multi_dot": lambda x: np.linalg.multi_dot([grid(x), grid(x).T, grid(x)]),
    "solve both": lambda x: np.linalg.solve(np.diag(x[:2]), x[2:4]),
    "cov": lambda x: np.cov(grid(x)),
    "fft2": lambda x: np.abs(np.fft.fft2(grid(x))),
    "fftshift": lambda x: np.fft.fftshift(x),
    "minimum.reduce": lambda x: np.minimum.reduce([x[:2], x[2:4], x[4:]]),
    "interp both": lambda x: np.interp(x[:2], np.arange(4.0), x[2:]),
    "unknown mask": lambda x: np.add(x, x[::-1], out=x.copy(), where=x > 0),
    "matrix norm": lambda x: np.linalg.norm(grid(x)),
    "nanmean": lambda x: np.nanmean(grid(x), axis=0),
    "histogram": lambda x: np.cumsum(x * np.searchsorted([0.0, 1.0], x)),
    "remainder": lambda x: np.remainder(x[:3], x[3:]),
    "multiply.at": lambda x: multiplied_at(x),
    "known table": lambda x: C[np.argsort(x)] * x,
    "unknown place": lambda x: placed(x) * x,
    "parts": lambda x: (x * (1 + 2j)).real[::2] + (x[::2] * 1j).imag,
    "ix_": lambda x: grid(x)[np.ix_([0, 1], [0, 2])],
}


def placed(x):
    out = np.zeros(6)
    out[np.argsort(x)[:2]] = 1.0
    return out


def masked_rows(x):
    y = x.reshape(3, 2) * 1.0
    y[x[::2] > 0] = x[:2] * 2
    return y


def multiplied_at(x):
    out = np.ones(3)
    np.multiply.at(out, [0, 2, 0], x[:3])
    return out


# What Hessians are exactly.
HESSIANS = {
    "linear": (lambda x: C @ x + x.sum() * 2 + np.cumsum(x)[-1], []),
    "kinks": (lambda x: np.sum(np.maximum(x, 0.0) + abs(x) + np.interp(x, C[:2], C[:2])), []),
    "products": (lambda x: x[0] * x[1] + x[2] * 3, [(0, 1)]),
    "squares": (lambda x: np.sum(x**2), [(i, i) for i in range(6)]),
    "quotient": (lambda x: x[0] / x[1], [(0, 1), (1, 1)]),
    "neighbors": (lambda x: np.sum(x[1:] * x[:-1]), [(i, i + 1) for i in range(5)]),
    "matmul": (lambda x: np.trace(grid(x) @ grid(x).T), [(i, i) for i in range(6)]),
    "dot": (lambda x: x[:3] @ x[3:], [(0, 3), (1, 4), (2, 5)]),
    "solve": (lambda x: np.linalg.solve(np.eye(3) + 1, x[:3]).sum(), []),
    "fft": (lambda x: np.sum(np.fft.rfft(x).real), []),
    "prod": (lambda x: np.prod(x[:3]), [(0, 1), (0, 2), (1, 2)]),
    "cumprod": (lambda x: np.cumprod(x[:3])[1], [(0, 1)]),
    "multiply.reduce": (lambda x: np.multiply.reduce(x[:2]), [(0, 1)]),
    "steps": (lambda x: np.sum(np.floor(x) * x[0]), []),
    "numbers": (lambda x: math.exp(float(x[0])) * x[1] + x[2] / x[3] - x[4], None),
}
