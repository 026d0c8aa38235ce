"""Together, without a host read, differentiated and compiled: the same step as one by one."""

import math
import shutil

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from netdistance.optim import LAMB, LARS, Fromage
from netdistance.optim.norms import frobenius, frobenius_tensor, norms_in_one_read
from tests.oracles.layerwise import parameter, random_pair
from tests.unit.optim.test_conventions import SETTINGS, every

SHAPES = [(5, 3), (7,), (1,), (4, 3, 3, 3), (6, 2)]


def tensors(dtype=torch.float32):
    """Ordinary ones, and a zero weight, a zero gradient and gradients with extreme norms."""
    result = [random_pair(*shape, seed=i, dtype=dtype) for i, shape in enumerate(SHAPES)]
    result.append(parameter([0.0, 0.0], [3.0, -4.0], dtype))
    result.append(parameter([1.0, 2.0], [0.0, 0.0], dtype))
    for scale in (1e-40, 1e-22, 1e22, 1e30):
        result.append(random_pair(3, 2, scale=scale, dtype=dtype))
    result.append(parameter([2.0], [1e-40], dtype))
    return result


def moved(kind, options, *, steps=3, dtype=torch.float32, **more):
    weights = tensors(dtype)
    if kind is LAMB:
        # g^2 leaves float32 there, whichever way the step is taken
        weights = weights[: len(SHAPES) + 2]
    optimizer = kind(weights, lr=0.05, **options, **more)
    for _ in range(steps):
        optimizer.step()
    return [weight.detach().double() for weight in weights]


def assert_close(found, expected, dtype, ulps=8):
    for a, b in zip(found, expected, strict=True):
        assert bool(a.isfinite().all())
        # of the largest element: one that nearly cancels has no digits to agree in
        assert float((a - b).abs().max()) <= ulps * torch.finfo(dtype).eps * float(b.abs().max())


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("way", ["foreach", "capturable"])
def test_another_way_is_the_same_step(kind, options, dtype, way):
    expected = moved(kind, options, dtype=dtype)
    assert_close(moved(kind, options, dtype=dtype, **{way: True}), expected, dtype)


@every
def test_foreach_in_bfloat16_rounds_once(kind, options):
    weights = [[random_pair(9, 4, seed=i, dtype=torch.bfloat16) for i in (1, 2)] for _ in "ab"]
    for foreach, some in zip((False, True), weights, strict=True):
        kind(some, lr=0.05, foreach=foreach, **options).step()
    for a, b in zip(*weights, strict=True):
        assert (a.detach() == b.detach()).float().mean() > 0.97


def test_foreach_writes_into_the_parameters_memory():
    weights = [random_pair(5, 3, seed=i) for i in range(3)]
    places = [weight.data_ptr() for weight in weights]
    gradients = [weight.grad.clone() for weight in weights]
    Fromage(weights, foreach=True).step()
    assert [weight.data_ptr() for weight in weights] == places
    assert all(torch.equal(w.grad, g) for w, g in zip(weights, gradients, strict=True))


class NoHostRead(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert "_local_scalar_dense" not in str(func), "a number was read back"
        assert "is_nonzero" not in str(func), "a number was read back"
        return func(*args, **(kwargs or {}))


@every
def test_capturable_reads_nothing_back(kind, options):
    weights = tensors()
    optimizer = kind(weights, lr=torch.tensor(0.05), capturable=True, **options)
    with NoHostRead():
        for _ in range(2):
            optimizer.step()


def test_planted_host_read_is_found():
    with NoHostRead(), pytest.raises(AssertionError, match="read back"):
        Fromage([random_pair(3)]).step()


@every
def test_a_non_finite_gradient_shows_when_captured(kind, options):
    for bad in (math.nan, math.inf):
        weight = parameter([1.0, 2.0], [1.0, bad], torch.float32)
        kind([weight], capturable=True, **options).step()
        assert bool(weight.isnan().any())


@every
def test_gradients_flow_through_the_step(kind, options):
    start, lr = random_pair(3, 2), torch.tensor(0.1, dtype=torch.float64, requires_grad=True)

    def after(weight, gradient, lr):
        moved = weight.clone()
        optimizer = kind([moved], lr=lr, differentiable=True, **options)
        for scale in (1.0, 0.5):
            moved.grad = scale * gradient
            optimizer.step()
        return moved

    inputs = (start, start.grad.clone().requires_grad_(), lr)
    # central differences in float64
    assert torch.autograd.gradcheck(after, inputs, eps=1e-6, atol=1e-7)
    plain = random_pair(3, 2)
    optimizer = kind([plain], lr=0.1, **options)
    gradient = plain.grad
    for scale in (1.0, 0.5):
        plain.grad = scale * gradient
        optimizer.step()
    assert torch.allclose(after(*inputs), plain, rtol=1e-13, atol=1e-15)


def test_gradients_are_finite_where_a_norm_is_zero():
    for weight, gradient in (([0.0, 0.0], [3.0, -4.0]), ([1.0, 2.0], [0.0, 0.0])):
        inputs = [torch.tensor(x, requires_grad=True) for x in (weight, gradient)]
        moved = inputs[0].clone()
        moved.grad = inputs[1] * 1.0
        Fromage([moved], p_bound=1.0, differentiable=True).step()
        for found in torch.autograd.grad(moved.sum(), inputs):
            assert bool(found.isfinite().all())


def test_a_leaf_that_requires_grad_is_refused_as_by_sgd():
    for kind in (torch.optim.SGD, Fromage):
        with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
            kind([random_pair(3)], lr=0.1, differentiable=True).step()


def test_together_a_zero_gradient_leaves_its_momentum_to_decay():
    weights = {False: [], True: []}
    for foreach, some in weights.items():
        some += [random_pair(3, seed=1), random_pair(3, seed=2)]
        optimizer = LARS(some, lr=0.1, momentum=0.5, foreach=foreach)
        optimizer.step()
        some[0].grad.zero_()
        optimizer.step()
    for a, b in zip(*weights.values(), strict=True):
        assert torch.allclose(a, b, rtol=1e-13)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs g++")
@pytest.mark.filterwarnings("ignore:::torch")  # the compiler's own deprecations
@pytest.mark.parametrize("name", ["fromage-bounded", "lars-momentum", "lamb"])
def test_torch_compile_runs_the_step(name):
    kind, options = SETTINGS[name]
    weights, compiled = (
        [random_pair(*shape, dtype=torch.float32) for shape in SHAPES[:2]] for _ in "ab"
    )
    plain = kind(weights, lr=0.05, **options)
    optimizer = kind(compiled, lr=torch.tensor(0.05), **options)
    step = torch.compile(optimizer.step)
    for _ in range(2):
        step()
        plain.step()
    for a, b in zip(compiled, weights, strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1.0, 1e30, 1e300])
def test_every_norm_is_the_norm(scale):
    # hypot scales too, but by its own code
    values = [scale * x for x in (3.0, -1.0, 2.5)]
    tensor = torch.tensor(values, dtype=torch.float64)
    expected = math.hypot(*values)
    assert frobenius(tensor) == pytest.approx(expected, rel=1e-14)
    assert float(frobenius_tensor(tensor)) == pytest.approx(expected, rel=1e-14)
    assert norms_in_one_read([tensor, 2.0 * tensor]) == pytest.approx(
        [expected, 2.0 * expected], rel=1e-14
    )


def test_lars_is_named_by_its_state():
    weight = random_pair(3)
    optimizer = LARS([weight], momentum=0.9)
    optimizer.step()
    assert list(optimizer.state[weight]) == ["momentum_buffer"]
