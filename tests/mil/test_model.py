"""What multiple instance learning must get right, whatever the pooling."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from mil_rbc.model.encoders import Standardize
from mil_rbc.model.mil import Architecture, MILModel
from mil_rbc.model.objective import BagData, Objective
from mil_rbc.model.pooling import AnomalyPooling, MaxPooling
from mil_rbc.model.terms import Regularizer
from mil_rbc.model.topology import input_space
from mil_rbc.model.variants import POOLINGS

WIDTH = 7


def make_model(pooling: str, **changes: object) -> MILModel:
    torch.manual_seed(0)
    architecture = Architecture("vector", WIDTH, ("a", "b", "c"), pooling, latent=20, **changes)  # type: ignore[arg-type]
    model = MILModel(architecture)
    if isinstance(model.pooling, AnomalyPooling):
        model.pooling.control.fit(model.encode(torch.randn(80, WIDTH)), seed=0)
        torch.nn.init.constant_(model.pooling.bias, 0.1)
    return model.eval()


@pytest.fixture(params=POOLINGS)
def model(request: pytest.FixtureRequest) -> MILModel:
    return make_model(request.param)


def test_a_label_has_no_way_into_the_model() -> None:
    names = set(inspect.signature(MILModel.forward).parameters)
    assert names == {"self", "instances", "lengths"}


@pytest.mark.parametrize("pooling", POOLINGS)
def test_logits_do_not_depend_on_the_label_the_loss_is_given(pooling: str) -> None:
    objective = Objective(make_model(pooling), None, 0.0)
    seen: list[Tensor] = []
    objective.model.register_forward_hook(lambda *args: seen.append(args[-1].bag.detach()))
    x = torch.randn(9, WIDTH)
    for label in range(3):
        objective(BagData(x, torch.tensor(label), None), beta=0.5)
    assert torch.equal(seen[0], seen[1])
    assert torch.equal(seen[0], seen[2])


def test_order_of_cells_does_not_matter(model: MILModel) -> None:
    x = torch.randn(1, 11, WIDTH)
    order = torch.randperm(11)
    out, shuffled = model(x), model(x[:, order])
    torch.testing.assert_close(out.bag, shuffled.bag)
    torch.testing.assert_close(out.pooled.weights[:, order], shuffled.pooled.weights)


def test_padded_bags_equal_single_bags(model: MILModel) -> None:
    bags = [torch.randn(n, WIDTH) for n in (5, 1, 9)]
    padded = torch.full((3, 9, WIDTH), 1e3)  # what is padded with must not matter
    for row, bag in zip(padded, bags, strict=True):
        row[: len(bag)] = bag
    together = model(padded, torch.tensor([5, 1, 9]))
    for i, bag in enumerate(bags):
        alone = model(bag[None])
        torch.testing.assert_close(together.bag[i], alone.bag[0])
        torch.testing.assert_close(together.pooled.weights[i, : len(bag)], alone.pooled.weights[0])
        assert not together.pooled.weights[i, len(bag) :].any()


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_bag_of_one_cell_trains(pooling: str) -> None:
    model = make_model(pooling)
    x = torch.randn(1, WIDTH)
    bag = BagData(x, torch.tensor(1), input_space(x, "none"))
    loss, parts = Objective(model, Regularizer("paper"), 5e-3)(bag, beta=0.5)
    loss.backward()
    assert torch.isfinite(parts).all()
    assert model(x[None]).bag.shape == (1, 3)
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())


def test_max_of_negative_features_is_negative() -> None:
    latents = -torch.rand(1, 4, 6) - 1
    mask = torch.tensor([[True, True, False, False]])
    pooled = MaxPooling()(latents.masked_fill(~mask[..., None], 0.0), mask)
    assert (pooled.vector < 0).all()
    torch.testing.assert_close(pooled.weights.sum(), torch.tensor(1.0))


def test_evidence_against_a_class_counts() -> None:
    """A cell can lower a bag's logit: pooling is of latents, not of positive votes only."""
    model = make_model("average")
    x = torch.randn(1, 6, WIDTH)
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(model(x).bag[0, 0], x)
    assert (gradient < 0).any()
    assert (gradient > 0).any()


def test_a_cell_is_not_rescaled_by_its_neighbours() -> None:
    torch.manual_seed(0)
    model = MILModel(Architecture("crop", 0, ("a", "b"), "average", latent=8, input_size=32))
    cells = torch.randint(0, 200, (3, 64, 64), dtype=torch.uint8)
    other = cells.clone()
    other[1:] = 255
    torch.testing.assert_close(model.encode(cells)[0], model.encode(other)[0])


@pytest.mark.parametrize(
    ("kind", "shape"), [("crop", (64, 64)), ("roi", (256, 14, 14)), ("vector", (WIDTH,))]
)
def test_each_kind_of_instance_reaches_the_latent_width(kind: str, shape: tuple[int, ...]) -> None:
    model = MILModel(Architecture(kind, WIDTH, ("a", "b"), "attention", latent=500))  # type: ignore[arg-type]
    out = model(torch.rand(1, 2, *shape))
    assert out.latents.shape == (1, 2, 500)
    assert model.instance_head(out.latents).shape == (1, 2, 2)
    assert (out.latents >= 0).all()


def test_layers_are_the_papers() -> None:
    model = MILModel(Architecture("roi", 0, tuple("abcde"), "anomaly"))
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
    assert shapes["encoder.convolutions.0.weight"] == (301, 256, 2, 2)
    assert shapes["encoder.convolutions.2.weight"] == (500, 301, 2, 2)
    assert shapes["encoder.convolutions.5.weight"] == (650, 500, 2, 2)
    assert shapes["encoder.linear.weight"] == (500, 650)
    assert shapes["bag_head.0.weight"] == (10, 500)
    assert shapes["instance_head.0.weight"] == (32, 500)
    assert shapes["pooling.score.0.weight"] == (128, 500)


def test_poolings_of_a_seed_start_from_the_same_encoder_and_heads() -> None:
    first, *others = (make_model(p).state_dict() for p in POOLINGS)
    for other in others:
        for name in ("encoder.first.weight", "bag_head.0.weight", "instance_head.2.bias"):
            assert torch.equal(first[name], other[name])


def test_average_weights_are_even_and_attention_sums_to_one() -> None:
    latents, mask = torch.randn(2, 5, 8), torch.ones(2, 5, dtype=torch.bool)
    architecture = Architecture("vector", WIDTH, ("a", "b"), "attention", latent=8)
    even = POOLINGS["average"].make(architecture)(latents, mask).weights
    torch.testing.assert_close(even, torch.full((2, 5), 0.2))
    attention = POOLINGS["attention"].make(architecture)(latents, mask)
    torch.testing.assert_close(attention.weights.sum(1), torch.ones(2))


@pytest.mark.parametrize("pooling", ["attention", "anomaly"])
def test_gated_attention_is_the_formula(pooling: str) -> None:
    plain, gated = (make_model(pooling, attention=a).pooling for a in ("plain", "gated"))
    latents, mask = torch.randn(1, 5, 20), torch.ones(1, 5, dtype=torch.bool)
    before = [plain.score[0](latents).tanh(), gated.gate(latents).sigmoid()]
    scores = plain.score[2](before[0] * before[1])[..., 0]  # both start from the same score
    torch.testing.assert_close(gated.attention(latents, mask), scores.softmax(1))
    assert not torch.allclose(gated.attention(latents, mask), plain.attention(latents, mask))


def test_a_share_of_the_hidden_layer_is_dropped_while_training_only() -> None:
    vectors, whole = torch.randn(50, WIDTH), make_model("average")
    model = make_model("average", dropout=0.5)
    torch.testing.assert_close(model.encode(vectors), whole.encode(vectors))
    once, again = (model.train().encode(vectors) for _ in range(2))
    assert not torch.allclose(once, again)


def test_a_step_on_300_crops_makes_no_dense_broadcast() -> None:
    """N×N differences of 4096 pixels would be 1.5 GB."""
    torch.manual_seed(0)
    model = MILModel(Architecture("crop", 0, ("a", "b"), "average", latent=500, input_size=32))
    crops = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (300, 64, 64), np.uint8))
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as watched:
        space = input_space(crops.flatten(1).float() / 255, "none")
        objective = Objective(model, Regularizer("paper"), 5e-3)
        objective(BagData(crops, torch.tensor(0), space), 0.0)[0].backward()
    assert max(event.cpu_memory_usage for event in watched.events()) < 200e6


def test_a_deviation_may_be_shared_by_all_features() -> None:
    x = torch.randn(400, 3) * torch.tensor([1.0, 10.0, 0.0]) + torch.tensor([5.0, 0.0, 7.0])
    each, shared = Standardize(3), Standardize(3)
    each.fit([x[:100], x[100:]])
    shared.fit([x[:100], x[100:]], shared=True)
    assert torch.equal(each.mean, shared.mean)
    assert shared.std.unique().numel() == 1
    root = x.double().var(0, correction=0).mean().sqrt()
    assert float(shared.std[0]) == pytest.approx(float(root), rel=1e-5)
    assert torch.allclose(each(x)[:, :2].std(0), torch.ones(2), atol=1e-2)
    assert float(shared(x)[:, 0].std()) < 0.2
