from dataclasses import MISSING, fields

import numpy as np
import pytest
import torch

from geom2msm.mixers.build import MIXERS, build_lobe, split_settings
from geom2msm.mixers.global_tokens import GlobalTokens
from geom2msm.mixers.invariants import TokenEmbedding
from geom2msm.mixers.layout import TokenLayout, chains
from geom2msm.mixers.lobe import OutputHead
from geom2msm.mixers.positions import CHAIN_GAP, sequence_places, sinusoids
from geom2msm.mixers.standardize import Standardization
from geom2msm.mixers.transformer import SelfAttention
from geom2msm.schema import read_schema
from mixer_cases import ATTENDING, CASES, random_tokens, small_lobe

CHAIN = (0, 0, 0, 1, 1)
every_mixer = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[1]}")
every_kind = pytest.mark.parametrize("mixer", MIXERS)


@pytest.fixture
def tokens():
    """Scalars, vectors and positions of 50 frames of 5 tokens, with unequal means and sizes of the channels."""
    size = torch.tensor([0.1, 1.0, 3.0, 10.0])
    scalars, vectors, positions = (array.float() for array in random_tokens(0, n_frames=50, n_tokens=5))
    return scalars * size + 2 * size, vectors * size, positions


@every_mixer
def test_a_frame_becomes_d_outputs(case, tokens):
    outputs = small_lobe(case, chain=CHAIN)(*tokens)
    assert outputs.shape == (50, 3)
    assert (outputs.std(dim=0) > 0).all()


@every_mixer
def test_softmax_outputs_are_fuzzy_states(case, tokens):
    outputs = small_lobe(case, chain=CHAIN, output="softmax")(*tokens)
    assert (outputs > 0).all()
    torch.testing.assert_close(outputs.sum(dim=-1), torch.ones(50))


@every_mixer
def test_half_precision_tokens_are_used_in_the_precision_of_the_weights(case, tokens):
    lobe = small_lobe(case, chain=CHAIN)
    half = [array.half() for array in tokens]
    outputs = lobe(*half)
    assert outputs.dtype == torch.float32
    torch.testing.assert_close(outputs, lobe(*(array.float() for array in half)), rtol=0, atol=0)


@every_mixer
def test_a_single_precision_frame_hardly_depends_on_its_batch(case, tokens):
    lobe = small_lobe(case, chain=CHAIN)
    lobe.standardize([tokens[:2]])
    alone = torch.cat([lobe(*(array[frame, None] for array in tokens)) for frame in range(50)])
    torch.testing.assert_close(lobe(*tokens), alone, rtol=0, atol=2e-6)


@every_mixer
def test_gradients_are_finite_where_vectors_are_zero_and_tokens_coincide(case, tokens):
    lobe = small_lobe(case, chain=CHAIN)
    scalars, vectors, positions = (array.clone() for array in tokens)
    vectors[:, 1:], positions[:, 3] = 0.0, positions[:, 2]
    positions.requires_grad_()
    lobe(scalars, vectors, positions).sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in lobe.parameters())
    if positions.grad is not None:
        assert torch.isfinite(positions.grad).all()


@every_mixer
def test_outputs_and_gradients_are_finite_in_mixed_precision(case, tokens):
    lobe = small_lobe(case, chain=CHAIN)
    lobe.standardize([tokens[:2]])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = lobe(tokens[0], torch.zeros_like(tokens[1]), tokens[2])
        exact = lobe(*tokens)
    outputs.float().sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in lobe.parameters())
    torch.testing.assert_close(exact.float(), lobe(*tokens), rtol=0, atol=0.1)


def test_zero_vectors_have_lengths_with_gradients_even_in_half_precision():
    embedding = TokenEmbedding(4, 8)
    with torch.autocast("cpu", dtype=torch.float16):
        features = embedding(torch.ones(2, 3, 4), torch.zeros(2, 3, 3, 4))
    features.float().sum().backward()
    assert torch.isfinite(embedding.vector_mixing.weight.grad).all()


@every_mixer
def test_every_parameter_is_trained(case, tokens):
    lobe = small_lobe(case, chain=CHAIN)
    lobe.standardize([tokens[:2]])
    lobe(*tokens).square().sum().backward()
    untrained = [name for name, parameter in lobe.named_parameters() if not parameter.grad.abs().sum() > 0]
    assert not untrained


@every_mixer
def test_a_saved_and_reloaded_lobe_gives_the_same_outputs(case, tokens):
    lobe = small_lobe(case, chain=CHAIN)
    lobe.standardize([tokens[:2]])
    weights = lobe.state_dict()
    assert TokenLayout.of_weights(weights) == lobe.layout
    torch.manual_seed(1)
    reloaded = small_lobe(case, chain=TokenLayout.of_weights(weights).chain)
    reloaded.load_state_dict(weights)
    torch.testing.assert_close(reloaded(*tokens), lobe(*tokens), rtol=0, atol=0)


@every_mixer
def test_dropout_is_drawn_from_the_seed_and_off_in_evaluation(case, tokens):
    lobe = small_lobe(case, chain=CHAIN).train()
    if not any("dropout" in type(module).__name__.lower() for module in lobe.modules()):
        pytest.skip("no dropout in this mixer")
    drawn = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        drawn.append(lobe(*tokens))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    lobe.eval()
    assert torch.equal(lobe(*tokens), lobe(*tokens))


@every_mixer
def test_projecting_other_frames_changes_nothing_in_the_lobe(case, tokens):
    lobe = small_lobe(case, chain=CHAIN)
    lobe.standardize([tokens[:2]])
    before = {name: value.clone() for name, value in lobe.state_dict().items()}
    lobe.train()(*(100 * array for array in tokens))
    lobe.eval()(*(100 * array for array in tokens))
    assert all(torch.equal(value, before[name]) for name, value in lobe.state_dict().items())


@every_mixer
def test_the_scale_of_the_channels_does_not_matter_once_standardized(case, tokens):
    scalars, vectors, positions = tokens
    lobe = small_lobe(case, chain=CHAIN)
    lobe.standardize([(scalars, vectors)])
    expected = lobe(*tokens)
    lobe.standardize([(100 * scalars - 7, 0.01 * vectors)])
    torch.testing.assert_close(lobe(100 * scalars - 7, 0.01 * vectors, positions), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("case", [case for case in ATTENDING if not case[1]], ids=lambda case: case[0])
def test_training_keeps_no_matrix_of_tokens_by_tokens(case):
    n_tokens, kept = 300, []

    def keep(tensor):
        kept.append(tuple(tensor.shape))
        return tensor

    lobe = small_lobe(case, chain=(0,) * n_tokens).train()
    tokens = [array.float() for array in random_tokens(0, n_frames=2, n_tokens=n_tokens)]
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        lobe(*tokens)
    assert kept
    assert not [shape for shape in kept if sum(size >= n_tokens for size in shape) > 1]


@every_kind
def test_the_keys_of_a_mixer_are_the_fields_of_its_settings(mixer):
    schema = read_schema(f"mixer_{mixer}")
    defaults = {name: part["default"] for name, part in schema["properties"].items()}
    assert defaults == {field.name: field.default for field in fields(MIXERS[mixer].settings)}
    assert all(part["description"] for part in schema["properties"].values())
    assert MISSING not in defaults.values()


@every_kind
def test_the_keys_of_a_model_say_which_lobe_to_build(mixer):
    of_lobe = {"mixer": mixer, "dimensions": 2, "hidden_channels": 16, "output": "softmax"}
    config, rest = split_settings({"kind": "vampnet", "lag_ps": 1.0} | of_lobe)
    assert rest == {"kind": "vampnet", "lag_ps": 1.0}
    assert (config.mixer_settings.hidden_channels, config.output, config.merging) == (16, "softmax", None)
    lobe = build_lobe(config, TokenLayout(4, CHAIN))
    assert isinstance(lobe.mixer, MIXERS[mixer].network)
    assert [*lobe.parameters()][-1].shape == (2,)


def test_token_merging_stands_before_the_mixer(tokens):
    settings = {"mixer": "mixer", "dimensions": 2, "hidden_channels": 16, "token_merging": {"window": 2}}
    config, rest = split_settings(settings)
    assert not rest
    lobe = build_lobe(config, TokenLayout(4, CHAIN)).eval()
    # Windows of (0, 0), (0), (1, 1).
    assert lobe.mixed_tokens(*tokens)[2].shape == (50, 3, 3)
    assert lobe(*tokens).shape == (50, 2)


def test_an_unknown_mixer_is_refused():
    with pytest.raises(ValueError, match="mixer: blender is unknown; choose one of sum, mixer, transformer"):
        split_settings({"mixer": "blender", "dimensions": 2})


def test_an_unknown_output_is_refused():
    with pytest.raises(ValueError, match="output: relu is unknown; choose one of linear, softmax"):
        OutputHead(4, 2, output="relu")


def test_tokens_are_standardized_with_what_training_data_fixed(tokens):
    scalars, vectors, _ = tokens
    found = Standardization(4)
    found.fit([(scalars, vectors)])
    flat = scalars.reshape(-1, 4).numpy()
    np.testing.assert_allclose(found.scalar_mean, flat.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(found.scalar_scale, flat.std(axis=0), rtol=1e-5)
    np.testing.assert_allclose(found.vector_scale, np.sqrt((vectors.numpy() ** 2).mean(axis=(0, 1, 2))), rtol=1e-5)


def test_statistics_do_not_depend_on_the_blocks(tokens, monkeypatch):
    monkeypatch.setattr("geom2msm.mixers.standardize.CHUNK_VALUES", 7 * 5 * 3 * 4)
    scalars, vectors, _ = tokens
    whole, pieces = Standardization(4).double(), Standardization(4).double()
    whole.fit([(scalars, vectors)])
    pieces.fit((scalars[part], vectors[part]) for part in (slice(0, 1), slice(1, 40), slice(40, 50)))
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(pieces.state_dict()[name], value, rtol=1e-12, atol=0)
    np.testing.assert_allclose(whole.scalar_scale, scalars.double().reshape(-1, 4).std(dim=0, correction=0))


def test_a_channel_that_never_changes_does_no_harm(tokens):
    scalars, vectors, positions = (array.clone() for array in tokens)
    scalars[..., 0], vectors[..., 0] = 3.0, 0.0
    lobe = small_lobe(("sum", 0), chain=CHAIN)
    lobe.standardize([(scalars, vectors)])
    assert torch.isfinite(lobe(scalars, vectors, positions)).all()
    assert lobe.standardization.scalar_scale[0] == lobe.standardization.vector_scale[0] == 1


def test_statistics_of_half_precision_tokens_do_not_overflow():
    scalars = torch.full((30_000, 3, 4), 15.0, dtype=torch.float16)
    found = Standardization(4)
    found.fit([(scalars, torch.full((30_000, 3, 3, 4), 15.0, dtype=torch.float16))])
    torch.testing.assert_close(found.scalar_mean, torch.full((4,), 15.0))
    torch.testing.assert_close(found.vector_scale, torch.full((4,), 15.0))


def test_exported_attention_is_what_the_tokens_are_weighted_with():
    attention = SelfAttention(8, 2)
    tokens = torch.randn(3, 5, 8)
    values = attention.queries_keys_values(tokens)[..., 16:].unflatten(-1, (2, 4))
    weighted = torch.einsum("fhij,fjhc->fihc", attention.weights(tokens), values).flatten(start_dim=2)
    torch.testing.assert_close(attention.output(weighted), attention(tokens))


def test_attention_is_over_class_token_tokens_and_global_tokens(tokens):
    weights = small_lobe(("transformer", 2), chain=CHAIN).attention(*tokens)
    assert weights.shape == (50, 2, 1 + 5 + 2, 1 + 5 + 2)


def test_a_mixer_without_attention_says_so(tokens):
    with pytest.raises(ValueError, match="SumMixer has no attention weights; choose a mixer that attends"):
        small_lobe(("sum", 0), chain=CHAIN).attention(*tokens)


def test_heads_must_divide_the_channels():
    with pytest.raises(ValueError, match="hidden_channels = 8 is not a multiple of n_heads = 3; change one of them"):
        small_lobe(("transformer", 0), chain=CHAIN, n_heads=3)


def test_unknown_positions_are_refused():
    with pytest.raises(ValueError, match="positions: rotary is unknown; choose one of sinusoidal, learned"):
        small_lobe(("transformer", 0), chain=CHAIN, positions="rotary")


def test_learned_positions_are_trained_and_saved(tokens):
    lobe = small_lobe(("transformer", 0), chain=CHAIN, positions="learned")
    lobe(*tokens).square().sum().backward()
    assert lobe.mixer.places.grad.shape == (5, 8)
    assert "mixer.places" in lobe.state_dict()


def test_chains_are_unbroken_stretches_or_single_tokens():
    assert chains([3, 3, -1, -1, 7, 3]) == (0, 0, 1, 2, 3, 0)


def test_places_count_tokens_and_leave_a_gap_between_chains():
    assert sequence_places((0, 0, 1, 1, 0)).tolist() == [0, 1, 2 + CHAIN_GAP, 3 + CHAIN_GAP, 4 + 2 * CHAIN_GAP]
    assert sequence_places((4,)).tolist() == [0]


@pytest.mark.parametrize("width", [7, 8])
def test_sinusoids_tell_a_shift_by_their_scalar_product_only(width):
    encoded = sinusoids(torch.arange(20_000), 2 * width).double()
    products = [encoded[place] @ encoded[place + 5] for place in (0, 300, 19_000)]
    torch.testing.assert_close(products[0].expand(2), torch.stack(products[1:]), rtol=0, atol=1e-2)
    assert sinusoids(torch.arange(3), 7).shape == (3, 7)


def test_the_radial_functions_see_distances_of_pairs_only():
    module = GlobalTokens(2, n_tokens=3, hidden_channels=8)
    positions = torch.tensor([[[0.0, 0.0, 0.0], [0.0, 0.3, 0.0], [0.0, 0.3, 10.0]]])
    radial = module.radial(positions + 1000.0)
    torch.testing.assert_close(radial, radial.transpose(-1, -2))
    # The first Gaussian sits at 0.3 nm, the last at 10 nm.
    assert radial[0, 0, 0, 1] == pytest.approx(1, abs=1e-3)
    assert radial[0, -1, 1, 2] == pytest.approx(1, abs=1e-3)
    assert radial[0, :, 0, 0].abs().max() < 1e-5


def test_a_frame_of_another_number_of_tokens_is_not_mixed_silently(tokens):
    lobe = small_lobe(("transformer", 0), chain=CHAIN)
    with pytest.raises(RuntimeError, match="must match the size"):
        lobe(*(array[:, :4] for array in tokens))
