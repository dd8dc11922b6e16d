"""Functions of an image in PyTorch: one for each way in which a result depends on x."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

DOUBLE = torch.float64
SHAPE = (1, 2, 6, 6)


def numbers(*shape: int, seed: int = 0) -> Any:
    return torch.randn(shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


def places(*indices: Any) -> Any:
    return torch.tensor(indices)


MATRIX, EYE = numbers(6, 6), torch.eye(6, dtype=DOUBLE)
SHIFT = torch.diag(torch.ones(5, dtype=DOUBLE), 1)
KERNEL, TURNED, PAIR = numbers(3, 2, 3, 3), numbers(2, 3, 3, 3), numbers(4, 1, 2, 2)
OF_2 = numbers(2)
OF_2_2_3_2 = numbers(2, 2, 3, 2)
OF_2_6_6 = numbers(2, 6, 6)
OF_3 = numbers(3)
OF_4_6_3 = numbers(4, 6, 3)
OF_6 = numbers(6)
ROWS = places([0, 0, 0, 1, 1, 1]).expand(6, 6)


def in_place(x: Any) -> Any:
    y = x.clone()
    y[0, 0] = 1.0
    y[0, 1, :, 2] += x[0, 0, :, 1] ** 2
    y[..., 0] *= 2
    return y


def as_complex(x: Any) -> Any:
    whole = torch.view_as_complex(x.reshape(1, 2, 6, 3, 2))
    return torch.view_as_real(whole * (2 + 1j))


# Exactly what is not zero is found; x has the shape above.
TIGHT: dict[str, Callable[[Any], Any]] = {
    "conv2d": lambda x: F.conv2d(x, KERNEL, padding=1),
    "conv2d strided": lambda x: F.conv2d(x, KERNEL, OF_3, 2, (1, 2), 2),
    "conv2d same": lambda x: F.conv2d(x, KERNEL, padding="same"),
    "conv2d groups": lambda x: F.conv2d(x, PAIR, groups=2),
    "conv2d alone": lambda x: F.conv2d(x[0], KERNEL),
    "conv2d of both": lambda x: F.conv2d(x[:, :1], x[:, 1:, :2, :3], padding=1),
    "conv1d": lambda x: F.conv1d(x[0, :1], OF_4_6_3, stride=2),
    "conv_transpose2d": lambda x: F.conv_transpose2d(x, TURNED, None, 2, 1, 1),
    "conv_transpose2d groups": lambda x: F.conv_transpose2d(
        x, OF_2_2_3_2, None, (2, 1), groups=2, dilation=(1, 2)
    ),
    "avg_pool2d": lambda x: F.avg_pool2d(x, 2, ceil_mode=True, padding=1),
    "avg_pool1d": lambda x: F.avg_pool1d(x[0], 2),
    "adaptive_avg_pool2d": lambda x: F.adaptive_avg_pool2d(x, 4),
    "adaptive_avg_pool3d": lambda x: F.adaptive_avg_pool3d(x, (1, 2, 3)),
    "lp_pool2d": lambda x: F.lp_pool2d(x, 2, 2),
    "softmax": lambda x: F.softmax(x, -1),
    "log_softmax": lambda x: F.log_softmax(x, 1),
    "layer_norm": lambda x: F.layer_norm(x, (6,), OF_6, OF_6),
    "group_norm": lambda x: F.group_norm(x, 2, OF_2),
    "batch_norm": lambda x: F.batch_norm(x, None, None, training=True),
    "batch_norm fixed": lambda x: F.batch_norm(x, OF_2, OF_2.abs(), OF_2),
    "rms_norm": lambda x: F.rms_norm(x, (6,)),
    "einsum": lambda x: torch.einsum("abij,abjk->abik", x, x),
    "einsum fixed": lambda x: torch.einsum("abij,ij->abi", x, MATRIX),
    "linear": lambda x: F.linear(x, MATRIX, MATRIX[0]),
    "bilinear": lambda x: F.bilinear(x[0, :, :, 0], x[0, :, :, 1], OF_2_6_6),
    "matmul with zeros": lambda x: SHIFT @ x,
    "mv with zeros": lambda x: SHIFT @ x[0, 1, 0],
    "addmm": lambda x: torch.addmm(x[0, 0, 0], x[0, 0], x[0, 1]),
    "baddbmm": lambda x: torch.baddbmm(x[0], x[0], x[0]),
    "dot": lambda x: x[0, 0, 0] @ x[0, 0, 1],
    "outer": lambda x: torch.outer(x[0, 0, 0], x[0, 0, 1]),
    "kron": lambda x: torch.kron(x[0, 0], x[0, 1, :2, :2]),
    "attention": lambda x: F.scaled_dot_product_attention(x, x, x),
    "cumsum": lambda x: x.cumsum(2),
    "cumprod": lambda x: x.cumprod(2),
    "logcumsumexp": lambda x: x.logcumsumexp(3),
    "cumsum from behind": lambda x: x.flip(2).cumsum(2).flip(2),
    "gather": lambda x: x[:, places(1, 0, 1)],
    "pairs of indices": lambda x: x[0, 0, places(1, 0, 1), places(1, 2, 3)],
    "slices": lambda x: x[:, :, ::2, 1:-1],
    "take": lambda x: x.take(places(3, 9)),
    "where fixed": lambda x: torch.where(EYE > 0, x, x.flip(3)),
    "masked_fill": lambda x: x.masked_fill(EYE > 0, 2.0),
    "scatter_add": lambda x: torch.zeros_like(x[0, 0]).scatter_add(0, ROWS, x[0, 0]),
    "index_add": lambda x: x.index_add(2, places(0, 1), x[:, :, :2]),
    "index_copy": lambda x: x.index_copy(2, places(3, 1), x[:, :, :2]),
    "index_fill": lambda x: x.index_fill(2, places(0, 2), 1.0),
    "index_put": lambda x: x.index_put((places(0), places(1)), x[0, 0]),
    "index_put added": lambda x: x[0].index_put((places(0, 0), places(1, 1)), x[0, 0, :2], True),
    "embedding": lambda x: F.embedding(places(1, 2), x[0, 0]),
    "in place": in_place,
    "std": lambda x: x.std(2),
    "norm": lambda x: torch.linalg.vector_norm(x, dim=1),
    "cosine": lambda x: F.cosine_similarity(x, x.flip(3)),
    "cdist": lambda x: torch.cdist(x[0, 0], x[0, 1, :2]),
    "inv": lambda x: torch.linalg.inv(x),
    "det": lambda x: torch.linalg.det(x),
    "svdvals": lambda x: torch.linalg.svdvals(x),
    "bilinear image": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "bicubic image": lambda x: F.interpolate(x, size=(4, 7), mode="bicubic"),
    "nearest image": lambda x: F.interpolate(x, scale_factor=2),
    "pixel_shuffle": lambda x: F.pixel_shuffle(x.repeat(1, 2, 1, 1), 2),
    "unfold": lambda x: F.unfold(x, 2),
    "fold": lambda x: F.fold(x[0].reshape(1, 8, 9), (4, 4), 2),
    "windows": lambda x: x.unfold(2, 3, 1).mean(-1),
    "reflected": lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect"),
    "circular": lambda x: F.pad(x, (1, 1, 1, 1), mode="circular"),
    "replicated": lambda x: F.pad(x, (1, 1, 1, 1), mode="replicate"),
    "padded": lambda x: F.pad(x, (1, 1, -1, 1), value=1.0),
    "roll": lambda x: x.roll(1, 2) - x.roll(5),
    "rot90": lambda x: x.rot90(1, (2, 3)),
    "as_strided": lambda x: x.as_strided((3, 3), (7, 1), 2),
    "splits": lambda x: torch.stack(x.split(2, -1)) + torch.cat(x.chunk(3, 3)[::-1]),
    "unbind": lambda x: sum(x.unbind(2)),
    "diagonals": lambda x: torch.diag_embed(x[0, 0]) + x[0, 0].diagonal(),
    "block_diag": lambda x: torch.block_diag(x[0, 0], x[0, 1]),
    "masked by zeros": lambda x: x * EYE + torch.zeros_like(EYE) * x.sum(),
    "detached": lambda x: x.detach() * x.flip(3) + x.sin().detach(),
    "complex": as_complex,
    "complex modulus": lambda x: torch.complex(x, x.flip(3)).abs(),
    "powers": lambda x: x**0 + x**1 + x**2 + 2 ** x.flip(2),
    "addcmul": lambda x: torch.addcmul(x, x.flip(2), x.flip(3)),
    "lerp": lambda x: torch.lerp(x, x.flip(3), 0.5),
    "huber": lambda x: F.huber_loss(x, x.flip(3), reduction="none"),
    "cross_entropy": lambda x: F.cross_entropy(x[0, 0], torch.arange(6), reduction="none"),
    "steps": lambda x: (9 * x).round() * x.flip(3) + x.floor(),
    "glu": lambda x: F.glu(x),
    "gelu": lambda x: F.gelu(x) + F.logsigmoid(x),
    "normalised": lambda x: F.normalize(x, dim=-1),
    "random": lambda x: x + torch.randn_like(x),
}

# Which entries are read depends on the numbers; or zeros come about that no rule sees.
WIDE: dict[str, Callable[[Any], Any]] = {
    "max_pool2d": lambda x: F.max_pool2d(x, 3, 2, padding=1),
    "adaptive_max_pool2d": lambda x: F.adaptive_max_pool2d(x, 4),
    "amax": lambda x: x.amax(1) + x.min(1)[0],
    "max": lambda x: torch.maximum(x, x.flip(2)) * x.max(),
    "cummax": lambda x: x.cummax(2)[0],
    "sort": lambda x: x.sort()[0],
    "topk": lambda x: x.topk(2)[0],
    "median": lambda x: x.median(1)[0] * x.median(),
    "where": lambda x: torch.where(x > 0, x, x.flip(3)),
    "clamp": lambda x: x.clamp(x.flip(3), x.flip(2)),
    "argsort": lambda x: x.gather(3, x.argsort(3)),
    "index_select": lambda x: x.index_select(3, x[0, 0, 0].argsort()),
    "grid_sample": lambda x: F.grid_sample(
        x, x[:, :, :3, :2].permute(0, 2, 1, 3), align_corners=False
    ),
    "scatter_reduce": lambda x: x[0, 0].scatter_reduce(0, ROWS, x[0, 1], "prod"),
    "scatter_reduce amax": lambda x: x[0, 0].scatter_reduce(0, ROWS, x[0, 1], "amax"),
    "prelu": lambda x: F.prelu(x, x[0, :, 0, 0]),
    "elu": lambda x: F.elu(x) + F.hardswish(x) + F.relu(x) + F.leaky_relu(x),
    "solve": lambda x: torch.linalg.solve(x, x[..., :2]),
    "cholesky": lambda x: torch.linalg.cholesky(x @ x.mT + EYE),
    "qr": lambda x: torch.linalg.qr(x)[1],
    "fft": lambda x: torch.fft.fft2(x).real + torch.fft.rfft(x[0]).imag.sum(),
    "xlogy": lambda x: torch.xlogy(x.abs(), x.abs()) + torch.hypot(x, x.flip(2)),
    "fmod": lambda x: torch.fmod(x, x.flip(3)),
    "prod": lambda x: x.prod(1) * x[0, 0].prod(),
    "fake quantized": lambda x: torch.fake_quantize_per_tensor_affine(x, 0.1, 0, -128, 127),
}
