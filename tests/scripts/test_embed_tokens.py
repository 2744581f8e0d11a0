"""The embedding rule: one trajectory in, one complete store out, whatever happens in between."""

import json
from pathlib import Path

import mdtraj
import numpy as np
import pytest
import torch

import build_token_table
import embed_range
import embed_tokens
import inspect_trajectory
from geom2msm.encoder.embedding import Embedder
from geom2msm.encoder.streaming import Embedding, prefetched
from geom2msm.encoder.visnet import ViSNet, ViSNetConfig
from geom2msm.encoder.weights import EncoderCard, load_encoder, save_encoder
from geom2msm.store import read_array, read_attributes

SETTINGS = {
    "neighbor_rule": "all", "kernel": "plain", "precision": "float32", "dtype": "float16", "window_neighbors": None,
    "periodic": False, "unseen_elements": {}, "environment": None,
}  # fmt: skip
GIVEN = {"check": "", "source": "digest"}
ONE_PER_RESIDUE = [{"selection": "all", "per": "residue"}]


@pytest.fixture
def files(tmp_path):
    """A peptide-like chain of eight heavy atoms in two residues, 40 frames, its inventory, tokens and an encoder."""
    topology, rng = mdtraj.Topology(), np.random.default_rng(0)
    chain = topology.add_chain("A")
    for number in (1, 2):
        residue = topology.add_residue("ALA", chain, resSeq=number)
        atoms = [
            topology.add_atom(name, mdtraj.element.get_by_symbol(name[0]), residue) for name in ("N", "CA", "C", "O")
        ]
        for one, other in ((0, 1), (1, 2), (2, 3)):
            topology.add_bond(atoms[one], atoms[other])
    line = np.stack([0.14 * np.arange(8), 0.05 * (np.arange(8) % 2), np.zeros(8)], axis=1)
    frames = line + 0.01 * rng.standard_normal((40, 8, 3))
    trajectory = mdtraj.Trajectory(frames.astype(np.float32), topology, time=np.arange(40) * 2.0)
    trajectory[0].save_pdb(tmp_path / "top.pdb")
    trajectory.save_xtc(tmp_path / "run.xtc")
    given = {"topology": str(tmp_path / "top.pdb"), "inventory": str(tmp_path / "run.json")}
    given |= {"table": str(tmp_path / "tokens.csv"), "weights": str(tmp_path / "weights.safetensors")}
    given["trajectory"] = str(tmp_path / "run.xtc")
    build_token_table.main(given["topology"], given["table"], selection="not element H", rules=ONE_PER_RESIDUE)
    inspect_trajectory.main(
        given["trajectory"], given["topology"], given["inventory"], system="s", trajectory="run",
        selection="not element H", frame_interval_ps=2.0, stride=1, make_whole=True,
    )  # fmt: skip
    torch.manual_seed(0)
    config = ViSNetConfig(2, 16, 4, 8, 0.5)
    save_encoder(given["weights"], ViSNet(config), EncoderCard("small", "visnet", (1, 6, 7, 8), config))
    return given


def test_the_store_holds_tokens_positions_times_and_where_they_come_from(files, tmp_path):
    store = str(tmp_path / "run.zarr.zip")
    embed_tokens.main(**files, tokens=store, settings=SETTINGS, **GIVEN)
    assert read_array(store, "scalars").shape == (40, 2, 16)
    assert read_array(store, "vectors").shape == (40, 2, 3, 16)
    np.testing.assert_allclose(read_array(store, "time_ps"), np.arange(40) * 2.0)
    calpha = mdtraj.load(files["trajectory"], top=files["topology"]).xyz[:, [1, 5]]
    np.testing.assert_allclose(read_array(store, "positions_nm"), calpha, atol=1e-6)
    attributes = read_attributes(store)
    assert attributes["encoder"] == "small"
    assert attributes["neighbor_rule"] == "all"
    assert attributes["frame_interval_ps"] == 2.0
    assert set(attributes["provenance"]["inputs"]) == {"trajectory", "topology", "table", "weights"}


def test_a_killed_embedding_continues_to_the_same_bytes(files, tmp_path, monkeypatch):
    monkeypatch.setattr(Embedding, "chunk_frames", 7)
    embed_tokens.main(**files, tokens=str(tmp_path / "whole.zarr.zip"), settings=SETTINGS, **GIVEN)
    np.testing.assert_allclose(read_array(str(tmp_path / "whole.zarr.zip"), "time_ps"), np.arange(40) * 2.0)
    calls, embed = [], Embedder.__call__

    def killed_in_the_third_chunk(*arguments, **keywords):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return embed(*arguments, **keywords)

    monkeypatch.setattr(Embedder, "__call__", killed_in_the_third_chunk)
    path = tmp_path / "run.zarr.zip"
    with pytest.raises(KeyboardInterrupt):
        embed_tokens.main(**files, tokens=str(path), settings=SETTINGS, **GIVEN)
    assert not path.exists()
    embed_tokens.main(**files, tokens=str(path), settings=SETTINGS, **GIVEN)
    assert len(calls) == 3 + 4
    assert path.read_bytes() == (tmp_path / "whole.zarr.zip").read_bytes()


def embed_in_ranges(files, folder, n_ranges) -> list[str]:
    paths = [str(folder / f"{number}-of-{n_ranges}.zarr.zip") for number in range(n_ranges)]
    for number, path in enumerate(paths):
        embed_range.main(**files, tokens=path, number=number, n_ranges=n_ranges, settings=SETTINGS, **GIVEN)
    return paths


# 40 frames in chunks of 7 are six chunks: with nine ranges, some are empty.
@pytest.mark.parametrize("n_ranges", [1, 2, 3, 9])
def test_ranges_put_together_are_the_bytes_of_one_job(files, tmp_path, monkeypatch, n_ranges):
    monkeypatch.setattr(Embedding, "chunk_frames", 7)
    embed_tokens.main(**files, tokens=str(tmp_path / "whole.zarr.zip"), settings=SETTINGS, **GIVEN)
    ranges = embed_in_ranges(files, tmp_path, n_ranges)
    embed_tokens.main(**files, tokens=str(tmp_path / "joined.zarr.zip"), settings=SETTINGS, **GIVEN, ranges=ranges)
    assert (tmp_path / "joined.zarr.zip").read_bytes() == (tmp_path / "whole.zarr.zip").read_bytes()


def test_a_range_that_was_embedded_in_another_way_is_refused(files, tmp_path, monkeypatch):
    monkeypatch.setattr(Embedding, "chunk_frames", 7)
    ranges = embed_in_ranges(files, tmp_path, 2)
    with pytest.raises(
        ValueError, match=r"0-of-2\.zarr\.zip: embedded with neighbor_rule 'all', but this job would use 'nearest32'"
    ):
        embed_tokens.main(
            **files, tokens=str(tmp_path / "joined.zarr.zip"), settings=SETTINGS | {"neighbor_rule": "nearest32"},
            **GIVEN, ranges=ranges,
        )  # fmt: skip


def test_a_trajectory_shorter_than_its_inventory_says_leaves_no_store(files, tmp_path):
    inventory = Path(files["inventory"])
    inventory.write_text(json.dumps(json.loads(inventory.read_text()) | {"n_frames": 50}))
    with pytest.raises(ValueError, match="frames"):
        embed_tokens.main(**files, tokens=str(tmp_path / "run.zarr.zip"), settings=SETTINGS, **GIVEN)
    assert not (tmp_path / "run.zarr.zip").exists()


def test_items_made_ahead_come_in_order_and_bring_their_error():
    def items():
        yield from range(3)
        raise ValueError("the file is damaged")

    seen = []
    with pytest.raises(ValueError, match="the file is damaged"):
        seen.extend(prefetched(items()))
    assert seen == [0, 1, 2]
    assert list(prefetched(range(5))) == list(range(5))


def test_a_token_beyond_half_precision_is_refused_unless_stored_in_single(files, tmp_path):
    # The last norm scales every scalar.
    encoder, card = load_encoder(files["weights"])
    encoder.block.out_norm.weight.mul_(1e6)
    save_encoder(files["weights"], encoder, card)
    with pytest.raises(ValueError, match=r"which float16 cannot hold; .* tokens.dtype to float32"):
        embed_tokens.main(**files, tokens=str(tmp_path / "run.zarr.zip"), settings=SETTINGS, **GIVEN)
    embed_tokens.main(**files, tokens=str(tmp_path / "run.zarr.zip"), settings=SETTINGS | {"dtype": "float32"}, **GIVEN)
    assert read_array(str(tmp_path / "run.zarr.zip"), "scalars").dtype == np.float32


@pytest.mark.parametrize("kernel", ["fused", "compiled", "auto"])
def test_every_kernel_gives_the_tokens_of_the_plain_one(files, tmp_path, kernel):
    stores = [str(tmp_path / f"{name}.zarr.zip") for name in ("plain", kernel)]
    for store, chosen in zip(stores, ("plain", kernel), strict=True):
        embed_tokens.main(**files, tokens=store, settings=SETTINGS | {"kernel": chosen, "dtype": "float32"}, **GIVEN)
    for name in ("scalars", "vectors"):
        plain, fast = (read_array(store, name) for store in stores)
        np.testing.assert_allclose(fast, plain, atol=1e-4 * np.abs(plain).max())
    assert read_attributes(stores[1])["kernel"] != read_attributes(stores[0])["kernel"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="the machine has a GPU")
def test_a_precision_that_needs_a_gpu_is_refused_without_one(files, tmp_path):
    with pytest.raises(ValueError, match=r"tokens.precision = 'tf32' needs a GPU, and there is none here"):
        embed_tokens.main(
            **files, tokens=str(tmp_path / "run.zarr.zip"), settings=SETTINGS | {"precision": "tf32"}, **GIVEN
        )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_rounded_products_change_tokens_by_less_than_a_hundredth(files, tmp_path):
    stores = [str(tmp_path / f"{precision}.zarr.zip") for precision in ("float32", "tf32")]
    for store, precision in zip(stores, ("float32", "tf32"), strict=True):
        changed = {"precision": precision, "dtype": "float32"}
        embed_tokens.main(**files, tokens=store, settings=SETTINGS | changed, **GIVEN)
        assert read_attributes(store)["precision"] == precision
    for name in ("scalars", "vectors"):
        exact, rounded = (read_array(store, name) for store in stores)
        np.testing.assert_allclose(rounded, exact, atol=1e-2 * np.abs(exact).max())


def test_a_kernel_that_the_encoder_does_not_have_is_refused(files, tmp_path):
    with pytest.raises(ValueError, match=r"tokens.kernel = 'quantum', but .* has auto, fused, compiled, plain"):
        embed_tokens.main(
            **files, tokens=str(tmp_path / "run.zarr.zip"), settings=SETTINGS | {"kernel": "quantum"}, **GIVEN
        )
