"""Laws of the frozen encoder, with randomized weights: at initialization some broken layers pass."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from geom2msm.encoder.architectures import ARCHITECTURES, Encoder, encoder_config, untrained
from geom2msm.encoder.embedding import EmbeddedTokens, Embedder, TokenMap
from geom2msm.encoder.frozen import freeze
from geom2msm.encoder.neighbors import neighbor_table

CUTOFF_NM = 0.5
SEEDS = st.integers(0, 2**31 - 1)
of_every_kind = pytest.mark.parametrize("kind", ARCHITECTURES)


def random_encoder(kind: str, seed: int) -> Encoder:
    torch.manual_seed(seed)
    settings = {"kind": kind, "n_layers": 3, "hidden_channels": 16, "n_radial": 8, "cutoff_nm": CUTOFF_NM}
    settings |= {} if kind == "tensornet" else {"n_heads": 4}
    encoder = untrained(encoder_config(settings, origin="test")).double().eval()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return encoder


def random_molecule(seed: int, n_atoms: int = 45):
    """Atoms at the density of a protein, so that `nearest32` really drops some."""
    generator = torch.Generator().manual_seed(seed)
    box = (n_atoms / 100) ** (1 / 3)
    positions = box * torch.rand(n_atoms, 3, generator=generator, dtype=torch.float64)
    return torch.randint(1, 18, (n_atoms,), generator=generator), positions


def random_orthogonal(seed: int) -> torch.Tensor:
    """A rotation or, for odd seeds, a rotation with reflection."""
    q, _ = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))
    return q * torch.sign(torch.det(q)) * (-1 if seed % 2 else 1)


@torch.no_grad()
def encoded(encoder: Encoder, numbers, positions, rule: str = "nearest32"):
    return encoder(numbers, positions, neighbor_table(positions[None], cutoff=CUTOFF_NM, rule=rule))


def embed(encoder, frames: np.ndarray, token_map: TokenMap, *, rule: str) -> EmbeddedTokens:
    frozen = freeze(encoder.float(), kernel="plain", device=torch.device("cpu"))
    return Embedder(frozen, token_map, rule, "float32")(frames.astype(np.float32))


@of_every_kind
@pytest.mark.parametrize("rule", ["nearest32", "all", "first32"])
@given(seed=SEEDS)
@settings(max_examples=8)
def test_scalars_stay_and_vectors_turn_with_the_molecule(kind, rule, seed):
    encoder, (numbers, positions) = random_encoder(kind, seed), random_molecule(seed)
    rotation = random_orthogonal(seed)
    scalars, vectors = encoded(encoder, numbers, positions, rule)
    moved = encoded(encoder, numbers, positions @ rotation.T + 0.3, rule)
    torch.testing.assert_close(moved[0], scalars, rtol=0, atol=1e-9)
    torch.testing.assert_close(moved[1], torch.einsum("xy,ayc->axc", rotation, vectors), rtol=0, atol=1e-9)


@of_every_kind
@pytest.mark.parametrize("rule", ["nearest32", "all"])
@given(seed=SEEDS)
@settings(max_examples=8)
def test_renumbering_the_atoms_renumbers_the_features(kind, rule, seed):
    encoder, (numbers, positions) = random_encoder(kind, seed), random_molecule(seed)
    order = torch.randperm(len(numbers), generator=torch.Generator().manual_seed(seed))
    scalars, vectors = encoded(encoder, numbers, positions, rule)
    moved = encoded(encoder, numbers[order], positions[order], rule)
    torch.testing.assert_close(moved[0], scalars[order], rtol=0, atol=1e-9)
    torch.testing.assert_close(moved[1], vectors[order], rtol=0, atol=1e-9)


@of_every_kind
@given(seed=SEEDS)
@settings(max_examples=8)
def test_a_distant_molecule_changes_nothing(kind, seed):
    encoder, (numbers, positions) = random_encoder(kind, seed), random_molecule(seed)
    scalars, vectors = encoded(encoder, numbers, positions)
    both = encoded(encoder, torch.cat([numbers, numbers]), torch.cat([positions, positions + 5.0]))
    torch.testing.assert_close(both[0][: len(numbers)], scalars, rtol=0, atol=1e-9)
    torch.testing.assert_close(both[1][: len(numbers)], vectors, rtol=0, atol=1e-9)


@of_every_kind
@given(seed=SEEDS, n_frames=st.integers(1, 7))
@settings(max_examples=8)
def test_a_frame_does_not_depend_on_its_batch(kind, seed, n_frames):
    encoder, (numbers, positions) = random_encoder(kind, seed), random_molecule(seed, n_atoms=20)
    generator = torch.Generator().manual_seed(seed)
    frames = positions + 0.1 * torch.rand(n_frames, 20, 3, generator=generator, dtype=torch.float64)
    table = neighbor_table(frames, cutoff=CUTOFF_NM, rule="nearest32")
    with torch.no_grad():
        together = encoder(numbers.repeat(n_frames), frames.flatten(0, 1), table)
    alone = [encoded(encoder, numbers, frame) for frame in frames]
    for of_all, of_each in zip(together, zip(*alone, strict=True), strict=True):
        torch.testing.assert_close(of_all, torch.cat(of_each), rtol=0, atol=1e-9)


@given(seed=SEEDS, n_frames=st.integers(1, 7))
@settings(max_examples=8)
def test_tokens_of_a_frame_do_not_depend_on_its_batch(seed, n_frames):
    encoder, (numbers, _) = random_encoder("visnet", seed), random_molecule(seed, n_atoms=20)
    frames = 0.6 * np.random.default_rng(seed).random((n_frames, 20, 3))
    token_map = TokenMap(numbers.numpy(), np.arange(20) // 7, np.array([0, -1, 15]))
    together = embed(encoder, frames, token_map, rule="nearest32")
    alone = [embed(encoder, frame[None], token_map, rule="nearest32") for frame in frames]
    for name in ("scalars", "vectors"):
        whole, single = getattr(together, name), np.concatenate([getattr(tokens, name) for tokens in alone])
        np.testing.assert_allclose(whole, single, atol=1e-5 * np.abs(whole).max())


def test_a_token_is_the_sum_of_its_atoms_and_sits_at_its_atom_or_centroid():
    encoder, (numbers, positions) = random_encoder("visnet", 0).float(), random_molecule(0, n_atoms=20)
    frame = positions.float().numpy()[None]
    token_map = TokenMap(numbers.numpy(), np.arange(20) // 7, np.array([3, -1, 15]))
    tokens = embed(encoder, frame, token_map, rule="all")
    scalars, vectors = encoded(encoder, numbers, positions.float(), "all")
    np.testing.assert_allclose(tokens.scalars[0, 1], scalars[7:14].sum(0).numpy(), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(tokens.vectors[0, 1], vectors[7:14].sum(0).numpy(), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(tokens.positions_nm[0, 0], frame[0, 3])
    np.testing.assert_allclose(tokens.positions_nm[0, 1], frame[0, 7:14].mean(0), rtol=1e-6)


def test_context_atoms_send_messages_and_belong_to_no_token():
    encoder, (numbers, positions) = random_encoder("visnet", 0).float(), random_molecule(0, n_atoms=20)
    frame, token = positions.float().numpy()[None], np.arange(20) // 7
    with_context = np.where(token == 2, -1, token)
    all_tokens = embed(encoder, frame, TokenMap(numbers.numpy(), token, np.array([3, -1, 15])), rule="all")
    two = embed(encoder, frame, TokenMap(numbers.numpy(), with_context, np.array([3, -1])), rule="all")
    np.testing.assert_allclose(two.scalars, all_tokens.scalars[:, :2], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(two.positions_nm, all_tokens.positions_nm[:, :2])
