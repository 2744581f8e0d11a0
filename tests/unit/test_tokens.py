import doctest
import sys

import numpy as np
import pandas as pd
import pytest
import xarray
from zarr.storage import ZipStore

import geom2msm.tokens
from geom2msm.frame_reader import FrameReader
from geom2msm.store import ArrayLayout, PartialStore
from geom2msm.token_table import token_names
from geom2msm.tokens import open_tokens

TABLE = {
    "token": [0, 1, 2],
    "chain": ["A", "A", "A"],
    "residue_number": [1, 2, 3],
    "insertion_code": ["", "", ""],
    "residue_name": ["ACE", "ALA", "NME"],
    "kind": ["cap", "protein", "cap"],
    "part": ["residue", "residue", "residue"],
    "n_atoms": [3, 5, 2],
    "atoms": ["0 1 2", "3 4 5 6 7", "8 9"],
}
N_FRAMES = 200
LAYOUT = {
    "scalars": ArrayLayout(("frame", "token", "channel"), (3, 64), "float16"),
    "vectors": ArrayLayout(("frame", "token", "3", "channel"), (3, 3, 64), "float16"),
    "positions_nm": ArrayLayout(("frame", "token", "3"), (3, 3), "float32"),
    "time_ps": ArrayLayout(("frame",), (), "float64"),
}


def write(folder, trajectory, *, encoder="visnet_l6_h64"):
    """A token store with the arrays and attributes of the rule embed_tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    attributes = {
        "system": "alanine_dipeptide", "trajectory": trajectory, "frame_interval_ps": 0.5, "encoder": encoder,
        "tokens": TABLE, "provenance": {"settings": {"neighbor_rule": "nearest32"}},
    }  # fmt: skip
    rng = np.random.default_rng(sum(map(ord, trajectory)))
    arrays = {name: rng.standard_normal((N_FRAMES, *array.frame_shape)) for name, array in LAYOUT.items()}
    arrays["time_ps"] = np.arange(N_FRAMES) * 0.5
    path = folder / f"{trajectory}.zarr.zip"
    store = PartialStore(str(path), n_frames=N_FRAMES, chunk_frames=16, layout=LAYOUT, attributes=attributes)
    while (start := store.frames_done) < N_FRAMES:
        store.append({name: values[start : start + 16] for name, values in arrays.items()})
    store.finish()
    return str(path), arrays


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results/alanine_dipeptide"
    for number in range(8):
        write(folder / "tokens/visnet_l6_h64", f"run-{number}")
    return folder


@pytest.fixture
def frames_read(monkeypatch):
    """Number of frames of each access to a store."""
    counts = []
    read, read_range = FrameReader.read, FrameReader.read_range
    monkeypatch.setattr(FrameReader, "read", lambda self, frames: counts.append(len(frames)) or read(self, frames))
    monkeypatch.setattr(
        FrameReader, "read_range", lambda self, a, b: counts.append(int(b - a)) or read_range(self, a, b)
    )
    return counts


def test_the_example_of_the_docstring_runs(results, monkeypatch):
    monkeypatch.chdir(results.parents[1])
    outcome = doctest.testmod(geom2msm.tokens)
    assert outcome.attempted >= 6
    assert outcome.failed == 0


def test_a_slice_of_frames_reads_these_frames_only(tmp_path, frames_read):
    path, arrays = write(tmp_path, "run-0")
    run = open_tokens(path)["run-0"]
    part = run.scalars.isel(frame=slice(0, 10))
    assert frames_read == []
    np.testing.assert_array_equal(part.values, arrays["scalars"][:10].astype("float16"))
    assert frames_read == [10]
    run.isel(frame=[5, 190]).load()
    assert frames_read[1:] == [2, 2, 2, 2]


@pytest.mark.parametrize(
    "key",
    [
        {"frame": 7},
        {"frame": -1, "channel": 3},
        {"frame": slice(150, 20, -7), "token": 1},
        {"frame": slice(None), "token": [2, 0], "xyz": slice(1, 3)},
        {"frame": [9, 3, 3], "channel": slice(None, None, 5)},
        {"frame": np.arange(N_FRAMES) % 3 == 0},
        {"frame": slice(0, 0)},
    ],
    ids=str,
)
def test_every_index_gives_what_it_gives_in_memory(tmp_path, monkeypatch, key):
    monkeypatch.setattr("geom2msm.tokens.BLOCK_BYTES", 50_000)
    path, arrays = write(tmp_path, "run-0")
    run = open_tokens(path)["run-0"]
    expected = xarray.DataArray(arrays["vectors"].astype("float16"), dims=run.vectors.dims).isel(key)
    found = run.vectors.isel(key).values
    np.testing.assert_array_equal(found, expected.values)
    assert found.dtype == run.vectors.dtype == np.float32


def test_means_over_frames_are_not_taken_in_half_precision(tmp_path):
    path, arrays = write(tmp_path, "run-0")
    stored = arrays["scalars"].astype("float16").astype("float64")
    np.testing.assert_allclose(open_tokens(path)["run-0"].scalars.mean("frame"), stored.mean(axis=0), atol=1e-6)


def test_vectorized_and_chained_indexing(tmp_path):
    path, arrays = write(tmp_path, "run-0")
    run, expected = open_tokens(path)["run-0"], arrays["scalars"].astype("float16")
    pairs = {"frame": xarray.DataArray([3, 50], dims="pair"), "token": xarray.DataArray([0, 2], dims="pair")}
    np.testing.assert_array_equal(run.scalars.isel(pairs).values, expected[[3, 50], [0, 2]])
    chained = run.scalars.isel(frame=slice(10, 100)).isel(frame=slice(5, 8), token=1)
    np.testing.assert_array_equal(chained.values, expected[15:18, 1])


def test_tokens_can_be_chosen_by_name_and_kind(tmp_path):
    run = open_tokens(write(tmp_path, "run-0")[0])["run-0"]
    assert run.sel(token=run.kind == "cap").token.values.tolist() == ["A:ACE1", "A:NME3"]
    assert run.positions_nm.sel(token="A:ALA2", xyz="z").sizes == {"frame": N_FRAMES}
    assert run.time_ps.attrs["units"] == "ps"
    assert run.attrs["provenance"]["settings"] == {"neighbor_rule": "nearest32"}


def test_plain_xarray_opens_a_store_without_a_warning(tmp_path):
    path, arrays = write(tmp_path, "run-0")
    with ZipStore(path, mode="r") as store:
        dataset = xarray.open_zarr(store, chunks=None)
        np.testing.assert_array_equal(dataset.scalars.values, arrays["scalars"].astype("float16"))


def test_trajectories_come_in_natural_order(tmp_path):
    paths = [write(tmp_path, name)[0] for name in ("run-10", "run-9", "b", "run-1")]
    assert list(open_tokens(paths)) == list(open_tokens(tmp_path)) == ["b", "run-1", "run-9", "run-10"]


def test_mistakes_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"no tokens \(\*.zarr.zip\) there"):
        open_tokens(tmp_path)
    write(tmp_path / "tokens/one", "run-0", encoder="one")
    other, _ = write(tmp_path / "tokens/two", "run-0", encoder="two")
    with pytest.raises(ValueError, match="tokens of one, two; choose by"):
        open_tokens(tmp_path)
    assert open_tokens(tmp_path, encoder="two").paths == {"run-0": other}
    with pytest.raises(ValueError, match="no tokens of encoder three"):
        open_tokens(tmp_path, encoder="three")
    with pytest.raises(ValueError, match="are both of trajectory run-0"):
        open_tokens([other, other])
    with pytest.raises(KeyError, match="no trajectory 'run-1'; there are run-0"):
        open_tokens([other])["run-1"]


def test_tokens_have_the_names_of_tables_and_figures(tmp_path, monkeypatch):
    parts = {"part": ["residue", "sidechain", "residue"], "insertion_code": ["", "B", ""]}
    monkeypatch.setitem(globals(), "TABLE", TABLE | parts)
    run = open_tokens(write(tmp_path, "run-0")[0])["run-0"]
    assert run.token.values.tolist() == token_names(pd.DataFrame(TABLE)) == ["A:ACE1", "A:ALA2B sidechain", "A:NME3"]


def test_without_xarray_there_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "xarray", None)
    monkeypatch.delitem(sys.modules, "geom2msm.tokens")
    with pytest.raises(ImportError, match=r"xarray is not installed here .*FrameReader reads the same arrays"):
        import geom2msm.tokens  # noqa: F401
