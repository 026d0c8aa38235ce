"""The interval of a convolution's norm against its dense matrix, over every kind of option."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from netdistance.linalg import conv_norm as module
from netdistance.linalg import symbol_norm
from netdistance.linalg.conv_norm import conv_norm
from netdistance.linalg.spectral_norm import spectral_norm
from netdistance.quantities import Interval
from tests.oracles.dense_convolution import dense_convolution
from tests.oracles.singular_values import miss

SLACK = 1e-12


def gaussian(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def dense_norm(kernel: np.ndarray, input_size: tuple[int, ...], **options: object) -> float:
    axes = len(input_size)
    defaults = {"stride": (1,) * axes, "padding": (0,) * axes, "dilation": (1,) * axes, "groups": 1}
    dense = dense_convolution(kernel, input_size=input_size, **(defaults | options))
    return float(np.linalg.norm(dense, 2))


def largest_symbol(kernel: np.ndarray, points: int) -> float:
    """The largest |sum_a K[:, :, a] exp(i w a)| of a stride-1 1-D kernel on a fine grid."""
    turns = np.exp(2j * np.pi * np.outer(np.arange(kernel.shape[2]), np.arange(points)) / points)
    symbol = np.moveaxis(kernel @ turns, -1, 0)
    return float(np.linalg.norm(symbol, 2, axis=(1, 2)).max())


@pytest.fixture
def unaided(monkeypatch: pytest.MonkeyPatch) -> None:
    """No lower end to start the upper one from, which would hide a fault in the symbol."""
    monkeypatch.setattr(module, "_operator_lower", lambda *_: 0.0)


ONE_AXIS = list(itertools.product((1, 2, 3), (0, 1, 3), (1, 2), (1, 2), (1, 2, 3)))


@pytest.mark.parametrize(("stride", "padding", "dilation", "groups", "taps"), ONE_AXIS)
def test_one_axis(stride: int, padding: int, dilation: int, groups: int, taps: int) -> None:
    kernel = gaussian(4, 3, taps)
    options = {"stride": (stride,), "padding": (padding,), "dilation": (dilation,)}
    norm = dense_norm(kernel, (9,), groups=groups, **options)
    interval = conv_norm(kernel, groups=groups, input_size=(9,), **options)
    assert not miss(interval, norm, SLACK)
    assert interval.lower >= norm * (1.0 - 1e-4)
    assert interval.upper <= 1.35 * norm
    every_size = conv_norm(kernel, groups=groups, **options)
    assert norm <= every_size.upper
    assert every_size.upper <= 1.011 * every_size.lower


@pytest.mark.usefixtures("unaided")
@pytest.mark.parametrize("size", [3, 4, 9])
@pytest.mark.parametrize(
    ("stride", "padding", "dilation"), [(1, 0, 1), (2, 1, 1), (1, 0, 2), (3, 2, 1)]
)
def test_the_upper_end_stands_alone_on_one_axis(
    size: int, stride: int, padding: int, dilation: int
) -> None:
    options = {"stride": (stride,), "padding": (padding,), "dilation": (dilation,)}
    for seed in range(5):
        kernel = gaussian(2, 3, 2, seed=seed)
        kernel[:, :, 1] -= 2.0 * kernel[:, :, 0]
        interval = conv_norm(kernel, input_size=(size,), **options)
        assert not miss(interval, dense_norm(kernel, (size,), **options), SLACK)


TWO_AXES = list(
    itertools.product(((1, 1), (2, 1), (2, 3)), ((0, 0), (1, 2)), ((1, 1), (1, 2)), (1, 2))
)


@pytest.mark.parametrize(("stride", "padding", "dilation", "groups"), TWO_AXES)
def test_two_axes(
    stride: tuple[int, int], padding: tuple[int, int], dilation: tuple[int, int], groups: int
) -> None:
    kernel = gaussian(4, 2, 2, 3)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    norm = dense_norm(kernel, (6, 7), **options)
    interval = conv_norm(kernel, input_size=(6, 7), **options)
    assert not miss(interval, norm, SLACK)
    assert interval.lower >= norm * (1.0 - 1e-4)
    assert interval.upper <= 1.35 * norm
    assert norm <= conv_norm(kernel, **options).upper


@pytest.mark.usefixtures("unaided")
@pytest.mark.parametrize(("stride", "padding", "dilation", "groups"), TWO_AXES)
def test_the_upper_end_stands_alone_on_two_axes(
    stride: tuple[int, int], padding: tuple[int, int], dilation: tuple[int, int], groups: int
) -> None:
    kernel = gaussian(4, 2, 2, 3, seed=1)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    interval = conv_norm(kernel, input_size=(3, 7), **options)
    assert not miss(interval, dense_norm(kernel, (3, 7), **options), SLACK)


@pytest.mark.usefixtures("unaided")
def test_a_torus_of_the_output_alone_would_wrap_around() -> None:
    # one output of [1, -1] has norm sqrt(2), on a torus of one point it would be 0
    assert conv_norm(np.array([[[1.0, -1.0]]]), input_size=2).upper >= np.sqrt(2.0)


def test_three_axes() -> None:
    kernel = gaussian(2, 2, 2, 1, 2)
    options = {"stride": (1, 2, 1), "padding": (0, 0, 1)}
    norm = dense_norm(kernel, (3, 3, 4), **options)
    assert not miss(conv_norm(kernel, input_size=(3, 3, 4), **options), norm, SLACK)


@pytest.mark.parametrize("shape", [(6, 2, 3), (2, 6, 3), (1, 1, 5), (5, 1, 2)])
@pytest.mark.parametrize("size", [40, 200])
def test_long_inputs_are_narrow(shape: tuple[int, ...], size: int) -> None:
    # 200 exceeds the cap of the grid, whose factor is 1/cos(pi/64) = 1.0012 at most
    kernel = gaussian(*shape)
    interval = conv_norm(kernel, padding=1, input_size=size)
    assert not miss(interval, dense_norm(kernel, (size,), padding=(1,)), SLACK)
    assert interval.upper <= 1.012 * interval.lower


@pytest.mark.parametrize("shape", [(1, 1, 2), (3, 2, 3), (2, 5, 4), (4, 4, 9)])
def test_every_size_is_the_supremum_of_the_symbol(shape: tuple[int, ...]) -> None:
    kernel = gaussian(*shape)
    interval = conv_norm(kernel)
    fine = largest_symbol(kernel, 20000)
    assert not miss(interval, fine, 1e-6)
    assert interval.upper <= 1.006 * fine
    for size in (9, 20, 60):
        assert dense_norm(kernel, (size,), padding=(2,)) <= interval.upper


def test_a_pointwise_kernel_is_its_matrix() -> None:
    kernel = gaussian(7, 5, 1, 1)
    matrix = spectral_norm(kernel[:, :, 0, 0])
    for size in (None, (4, 6)):
        interval = conv_norm(kernel, input_size=size)
        assert not miss(interval, matrix.lower, 1e-9)
        assert interval.upper <= 1.00001 * interval.lower


def test_a_kernel_as_wide_as_its_stride_is_its_matrix() -> None:
    kernel = gaussian(9, 2, 2, 2)
    norm = float(np.linalg.norm(kernel.reshape(9, 8), 2))
    interval = conv_norm(kernel, stride=2, input_size=(6, 6))
    assert not miss(interval, norm, SLACK)
    assert interval.upper <= 1.00001 * norm


def test_groups_are_the_largest_of_their_parts() -> None:
    kernel = gaussian(6, 2, 3)
    whole = conv_norm(kernel, groups=3, input_size=20)
    parts = [conv_norm(kernel[2 * g : 2 * g + 2], input_size=20) for g in range(3)]
    assert whole.upper == pytest.approx(max(part.upper for part in parts), rel=1e-5)
    assert whole.lower == pytest.approx(max(part.lower for part in parts), rel=1e-4)


def test_closed_forms() -> None:
    # [1, -1]: 2 sin(pi N / 2(N+1)) on N outputs of an unpadded input
    difference = conv_norm(np.array([[[1.0, -1.0]]]), input_size=31)
    assert not miss(difference, 2.0 * np.cos(np.pi / 62), SLACK)
    box = conv_norm(np.ones((1, 1, 3, 3)))
    assert box.lower <= 9.0 <= box.upper <= 9.1
    assert box.lower >= 9.0 * (1.0 - 1e-12)


@pytest.mark.parametrize("scale", [2.0**-900, 2.0**900])
@pytest.mark.parametrize("size", [None, 12])
def test_extreme_scales(scale: float, size: int | None) -> None:
    kernel = gaussian(3, 2, 3)
    one, scaled = (conv_norm(k, padding=1, input_size=size) for k in (kernel, kernel * scale))
    assert (scaled.lower, scaled.upper) == (one.lower * scale, one.upper * scale)


@pytest.mark.parametrize("shape", [(3, 2, 3), (0, 2, 3), (3, 0, 3)])
def test_zero_and_empty(shape: tuple[int, ...]) -> None:
    assert conv_norm(np.zeros(shape), input_size=8) == Interval(0.0, 0.0)
    assert conv_norm(np.zeros(shape)) == Interval(0.0, 0.0)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_narrow_types_are_upcast(dtype: type[np.floating]) -> None:
    kernel = gaussian(3, 2, 3).astype(dtype)
    wide = kernel.astype(np.float64)
    assert conv_norm(kernel, input_size=9) == conv_norm(wide, input_size=9)


@pytest.mark.parametrize("chunk", [1, 10**5])
def test_chunks_do_not_change_what_is_proved(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = gaussian(4, 3, 3, 2)
    norm = dense_norm(kernel, (7, 6), padding=(1, 1))
    whole = conv_norm(kernel, padding=1, input_size=(7, 6))
    for part in (module, symbol_norm):
        monkeypatch.setattr(part, "_CHUNK_BYTES", chunk)
    pieces = conv_norm(kernel, padding=1, input_size=(7, 6))
    assert not miss(pieces, norm, SLACK)
    assert pieces.upper == pytest.approx(whole.upper, rel=1e-5)
    every_size = conv_norm(kernel)
    assert norm <= every_size.upper <= 1.011 * every_size.lower


def test_the_map_is_the_dense_matrix_and_its_transpose() -> None:
    kernel = gaussian(4, 2, 2, 3)
    options = ((2, 1), (1, 2), (1, 2), 2, (5, 7))
    dense = dense_convolution(kernel, *options)
    geometry = module._Geometry(*options[:4], kernel.shape[2:], options[4])
    operator = module._Convolution(kernel, geometry)
    x, y = gaussian(dense.shape[1]), gaussian(dense.shape[0])
    np.testing.assert_allclose(operator.apply(x), dense @ x, rtol=0, atol=1e-13)
    np.testing.assert_allclose(operator.adjoint(y), dense.T @ y, rtol=0, atol=1e-13)


def test_the_dense_oracle_is_torchs_convolution() -> None:
    torch = pytest.importorskip("torch")
    kernel, x = gaussian(4, 2, 2, 3), gaussian(1, 4, 5, 7)
    dense = dense_convolution(kernel, (2, 1), (1, 2), (1, 2), 2, (5, 7))
    y = torch.nn.functional.conv2d(
        torch.from_numpy(x),
        torch.from_numpy(kernel),
        stride=(2, 1),
        padding=(1, 2),
        dilation=(1, 2),
        groups=2,
    )
    np.testing.assert_allclose(dense @ x.ravel(), y.numpy().ravel(), rtol=0, atol=1e-13)


def test_planted_faults_are_caught() -> None:
    kernel = gaussian(4, 2, 3, 3)
    norm = dense_norm(kernel, (8, 8), stride=(2, 2), padding=(1, 1))
    interval = conv_norm(kernel, stride=2, padding=1, input_size=(8, 8))
    assert miss(Interval(0.0, norm * (1.0 - 1e-6)), norm, SLACK)
    assert miss(Interval(norm * (1.0 + 1e-6), 2.0 * norm), norm, SLACK)
    # the reshaped kernel's norm is the classic wrong answer, too small
    assert miss(Interval(0.0, float(np.linalg.norm(kernel.reshape(4, -1), 2))), norm, SLACK)
    assert miss(interval, 1.01 * interval.upper, SLACK)


@pytest.mark.parametrize(
    ("shape", "options", "text"),
    [
        ((3, 2), {}, "shape"),
        ((3, 2, 0), {}, "shape"),
        ((3, 2, 3), {"groups": 2}, "groups"),
        ((3, 2, 3), {"groups": 0}, "groups"),
        ((3, 2, 3), {"stride": 0}, "stride"),
        ((3, 2, 3), {"padding": -1}, "padding"),
        ((3, 2, 3), {"dilation": (1, 1)}, "dilation"),
        ((3, 2, 3), {"input_size": 0}, "input_size"),
        ((3, 2, 3), {"input_size": 4, "dilation": 2}, "empty"),
    ],
)
def test_refuses(shape: tuple[int, ...], options: dict[str, int], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        conv_norm(np.ones(shape), **options)


def test_refuses_what_is_not_finite() -> None:
    with pytest.raises(ValueError, match="NaN or infinite"):
        conv_norm(np.full((1, 1, 2), np.inf))
