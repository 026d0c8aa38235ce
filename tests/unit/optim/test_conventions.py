"""What torch.optim promises, held by every layerwise optimiser in every setting."""

import copy
import pickle

import pytest
import torch
from torch import nn

from netdistance.optim import LAMB, LARS, Fromage
from tests.oracles.layerwise import parameter, random_pair

SETTINGS = {
    "fromage": (Fromage, {}),
    "fromage-bounded": (Fromage, {"p_bound": 1.01, "stability_correction": False}),
    "lars": (LARS, {}),
    "lars-momentum": (LARS, {"momentum": 0.9, "weight_decay": 0.01}),
    "lamb": (LAMB, {}),
    "lamb-plain": (LAMB, {"weight_decay": 0.0, "clamp": (0.1, 10.0), "betas": (0.5, 0.9)}),
}
every = pytest.mark.parametrize(("kind", "options"), SETTINGS.values(), ids=SETTINGS.keys())


def network(seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.normal_(generator=generator)
    return model.to(dtype)


def train(model, optimizer, steps, seed):
    generator = torch.Generator().manual_seed(seed)
    dtype = next(model.parameters()).dtype
    for _ in range(steps):
        optimizer.zero_grad()
        inputs = torch.randn(16, 3, generator=generator).to(dtype)
        model(inputs).square().mean().backward()
        optimizer.step()


def assert_equal_models(a, b):
    for x, y in zip(a.parameters(), b.parameters(), strict=True):
        assert torch.equal(x, y)


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("capturable", [False, True])
def test_resume_from_state_dict_is_bit_equal(kind, options, dtype, capturable):
    model = network(dtype=dtype)
    options = {"lr": 0.05, "capturable": capturable, **options}
    optimizer = kind(model.parameters(), **options)
    train(model, optimizer, 5, seed=1)
    resumed = copy.deepcopy(model)
    # different options on purpose: all of them must come from the state_dict
    other = kind(resumed.parameters(), lr=0.5, maximize=True)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert {key: other.param_groups[0][key] for key in options} == options
    assert other.param_groups[0]["maximize"] is False
    train(model, optimizer, 5, seed=2)
    train(resumed, other, 5, seed=2)
    assert_equal_models(model, resumed)


@every
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_and_a_pickle_go_on_alike(kind, options, copied):
    model = network()
    optimizer = kind(model.parameters(), lr=0.05, **options)
    train(model, optimizer, 3, seed=1)
    twin, other = copied((model, optimizer))
    train(model, optimizer, 3, seed=2)
    train(twin, other, 3, seed=2)
    assert_equal_models(model, twin)
    assert not torch.equal(next(model.parameters()), next(network().parameters()))


@every
def test_every_option_is_in_the_group_and_in_the_state_dict(kind, options):
    optimizer = kind([random_pair(2)], **options)
    named = set(kind.__init__.__kwdefaults__) | {"lr"}
    assert named <= set(optimizer.param_groups[0])
    assert named <= set(optimizer.state_dict()["param_groups"][0])


@every
def test_a_group_has_options_of_its_own(kind, options):
    slow, fast = random_pair(4, 4), random_pair(4, 4)
    optimizer = kind([slow], lr=0.0, **options)
    optimizer.add_param_group({"params": [fast], "lr": 0.1})
    before = slow.detach().clone()
    optimizer.step()
    assert torch.equal(slow, before)
    assert not torch.equal(fast, before)
    with pytest.raises(ValueError, match="Invalid learning rate: -1"):
        optimizer.add_param_group({"params": [random_pair(2)], "lr": -1})


@every
def test_a_sparse_gradient_is_refused_before_anything_moves(kind, options):
    dense, embedding = random_pair(3), nn.Embedding(4, 2, sparse=True)
    before = dense.detach().clone()
    embedding(torch.tensor([1])).sum().backward()
    with pytest.raises(RuntimeError, match=f"{kind.__name__} does not support sparse gradients"):
        kind([dense, *embedding.parameters()], **options).step()
    assert torch.equal(dense, before)


@every
def test_the_closure_runs_with_grad_and_its_loss_comes_back(kind, options):
    weight = nn.Parameter(torch.tensor([3.0, 4.0]))
    optimizer = kind([weight], **options)

    def closure():
        optimizer.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        return loss

    with torch.no_grad():
        assert float(optimizer.step(closure).detach()) == 25.0
    assert float(weight.detach().norm()) < 5.0
    assert optimizer.step() is None


@every
@pytest.mark.parametrize("as_tensor", [False, True])
def test_a_scheduler_changes_the_next_step(kind, options, as_tensor):
    scheduled, plain = random_pair(4, 4), random_pair(4, 4)
    optimizer = kind([scheduled], lr=torch.tensor(0.5) if as_tensor else 0.5, **options)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    by_hand = kind([plain], lr=0.5, **options)
    for _ in range(3):
        optimizer.step()
        scheduler.step()
        by_hand.step()
        by_hand.param_groups[0]["lr"] *= 0.5
    assert torch.equal(scheduled, plain)


@every
def test_maximize_is_the_negated_gradient(kind, options):
    up, down = random_pair(5, 3), random_pair(5, 3)
    down.grad.neg_()
    gradient = up.grad.clone()
    climbing, falling = kind([up], maximize=True, **options), kind([down], **options)
    for _ in range(3):
        climbing.step()
        falling.step()
    assert torch.equal(up, down)
    assert torch.equal(up.grad, gradient)


@every
def test_complex_is_the_real_pair(kind, options):
    pair = random_pair(5, 3, 2)
    both = torch.view_as_complex(pair.detach().clone())
    weight = parameter(both, torch.view_as_complex(pair.grad.clone()), torch.complex128)
    for tensor in (pair, weight):
        optimizer = kind([tensor], **options)
        for _ in range(3):
            optimizer.step()
    assert torch.equal(torch.view_as_real(weight.detach()), pair.detach())


@every
@pytest.mark.parametrize("capturable", [False, True])
def test_frozen_and_empty_parameters_are_left_alone(kind, options, capturable):
    frozen = nn.Parameter(torch.ones(3))
    empty = parameter(torch.zeros(0, 4), torch.zeros(0, 4))
    optimizer = kind([frozen, empty], capturable=capturable, **options)
    optimizer.step()
    assert frozen.tolist() == [1.0, 1.0, 1.0]
    assert optimizer.state_dict()["state"] == {}


@every
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("capturable", [False, True])
def test_half_precision_is_the_rounded_float32_step(kind, options, dtype, capturable):
    half = random_pair(32, 16, dtype=dtype)
    wide = parameter(half.detach().float(), half.grad.float(), torch.float32)
    kind([half], lr=0.1, capturable=capturable, **options).step()
    kind([wide], lr=0.1, **options).step()
    assert half.dtype == dtype
    spacing = torch.finfo(dtype).eps * wide.detach().abs()
    assert bool(((half.detach().float() - wide.detach()).abs() <= spacing).all())
    # rounded once: almost every element is the nearest one
    assert (half.detach() == wide.detach().to(dtype)).float().mean() > 0.99


@every
@pytest.mark.parametrize(("dtype", "coarse"), [(torch.bfloat16, 0.0038), (torch.float16, 4.8e-4)])
def test_a_step_that_the_storage_cannot_hold_warns_once(kind, options, dtype, coarse):
    weight = random_pair(4, 4, dtype=dtype)
    optimizer = kind([weight], lr=coarse, **options)
    with pytest.warns(UserWarning, match="cannot store a relative step") as caught:
        optimizer.step()
    assert caught[0].filename == __file__
    optimizer.step()  # a second warning would be an error
    kind([random_pair(4, 4, dtype=dtype)], lr=1.1 * coarse, **options).step()
    kind([random_pair(4, 4, dtype=torch.float32)], lr=coarse, **options).step()


@every
def test_hyper_parameters_are_validated(kind, options):
    for bad in (-0.1, float("nan")):
        with pytest.raises(ValueError, match=f"Invalid learning rate: {bad}"):
            kind([random_pair(2)], **{**options, "lr": bad})
    with pytest.raises(ValueError, match="foreach works in place"):
        kind([random_pair(2)], **options, foreach=True, differentiable=True)
