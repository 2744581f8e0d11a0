"""The precision of a frozen encoder's matrix products: only the fast way's, and only while it computes."""

import copy

import pytest
import torch

from geom2msm.encoder.frozen import FrozenEncoder, check_kernel, matrix_products
from geom2msm.encoder.neighbors import neighbor_table
from geom2msm.encoder.visnet import ViSNet, ViSNetConfig


@pytest.fixture
def network():
    torch.manual_seed(0)
    return ViSNet(ViSNetConfig(2, 16, 4, 8, 0.5)).eval()


def molecule():
    positions = torch.rand(6, 3) * 0.4
    return torch.randint(1, 9, (6,)), positions, neighbor_table(positions[None], cutoff=0.5, rule="all")


@pytest.mark.parametrize("precision", ["float32", "tf32"])
def test_products_have_their_precision_while_the_encoder_computes_and_the_reference_has_all_bits(network, precision):
    seen = []

    def recorded(name):
        one = copy.deepcopy(network)
        one.register_forward_pre_hook(lambda *_: seen.append((name, torch.get_float32_matmul_precision())))
        return one

    frozen = FrozenEncoder(network.config, recorded("fast"), "recorded", torch.device("cpu"), precision)
    with matrix_products("tf32"):
        assert check_kernel(frozen, recorded("plain"), *molecule()) < 1e-6
        assert torch.get_float32_matmul_precision() == "high"
    assert sorted(seen) == [("fast", {"float32": "highest", "tf32": "high"}[precision]), ("plain", "highest")]
    assert torch.get_float32_matmul_precision() == "highest"


def test_an_error_leaves_the_precision_as_it_was():
    with pytest.raises(RuntimeError), matrix_products("tf32"):
        raise RuntimeError
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize(("precision", "allowed"), [("float32", 1e-4), ("tf32", 1e-2)])
def test_a_way_that_is_too_far_from_the_plain_one_is_refused(network, precision, allowed):
    def off_by(share):
        def forward(*system):
            return tuple(values + share * values.abs().max() for values in network(*system))

        return FrozenEncoder(network.config, forward, "shifted", torch.device("cpu"), precision)

    assert check_kernel(off_by(0.5 * allowed), network, *molecule()) == pytest.approx(0.5 * allowed, rel=0.02)
    with pytest.raises(ValueError, match=f"the shifted kernel in {precision} differs from the plain forward pass"):
        check_kernel(off_by(2 * allowed), network, *molecule())
