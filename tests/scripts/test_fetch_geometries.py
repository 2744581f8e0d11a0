"""Collections of geometries: copied or fetched, and refused when they are not what they should be."""

import hashlib

import numpy as np
import pandas as pd
import pytest

import fetch_geometries
from geom2msm.encoder.geometries import read_molecules
from geom2msm.encoder.peptide_grid import centered, fingerprint, read_sdf

URL = "https://example.org/submissions"


def sdf(symbols: str, conformers: np.ndarray) -> str:
    """SDF text of a molecule without bonds."""
    text = ""
    for positions in conformers:
        text += f"\n  -maker-\n\n{len(symbols):3d}  0  0     1  0  0  0  0  0999 V2000\n"
        for symbol, (x, y, z) in zip(symbols, positions, strict=True):
            text += f"{x:10.4f}{y:10.4f}{z:10.4f} {symbol}   0  0  0  0  0  0  0  0  0  0  0  0\n"
        text += "M  END\n$$$$\n"
    return text


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Two molecules behind addresses, their table, and the settings that name them."""
    rng = np.random.default_rng(0)
    texts = {"A/A_1.sdf": sdf("CHO", rng.normal(size=(4, 3, 3))), "B/B_1.sdf": sdf("CN", rng.normal(size=(2, 2, 3)))}
    rows = []
    for file, text in texts.items():
        numbers, positions = read_sdf(text)
        rows.append({"name": file[2:5], "file": file} | fingerprint(numbers, centered(positions)))
    pd.DataFrame(rows).to_csv(tmp_path / "table.csv", index=False)
    monkeypatch.setattr(fetch_geometries, "fetch_text", lambda url: texts[url.removeprefix(f"{URL}/")])
    settings = {
        "path": str(tmp_path / "absent.npz"),
        "url": URL,
        "table": str(tmp_path / "table.csv"),
        "sha256": "0" * 64,
    }
    return texts, settings


def test_published_files_become_one_collection(published, tmp_path):
    texts, settings = published
    path = str(tmp_path / "grid.npz")
    fetch_geometries.main(path, name="grid", settings=settings)
    first, second = read_molecules(path)
    assert (first.name, second.name) == ("A_1", "B_1")
    np.testing.assert_array_equal(first.atomic_numbers, [6, 1, 8])
    assert second.positions_nm.shape == (2, 2, 3)
    _, angstrom = read_sdf(texts["A/A_1.sdf"])
    np.testing.assert_allclose(10 * first.positions_nm, angstrom - angstrom.mean(1, keepdims=True), atol=6e-4)


@pytest.mark.parametrize(("old", "new", "what"), [("0.1257", "0.9257", "sum_square"), (" O ", " S ", "elements")])
def test_a_file_that_is_not_the_published_one_is_refused(published, tmp_path, old, new, what):
    texts, settings = published
    assert old in texts["A/A_1.sdf"]
    texts["A/A_1.sdf"] = texts["A/A_1.sdf"].replace(old, new)
    with pytest.raises(ValueError, match=f"A/A_1.sdf: {what} is"):
        fetch_geometries.main(str(tmp_path / "grid.npz"), name="grid", settings=settings)
    assert not (tmp_path / "grid.npz").exists()


def test_a_local_file_comes_first_and_its_checksum_decides(published, tmp_path):
    _, settings = published
    local = tmp_path / "local.npz"
    local.write_bytes(b"content")
    settings |= {"path": str(local), "sha256": hashlib.sha256(b"content").hexdigest()}
    fetch_geometries.main(str(tmp_path / "grid.npz"), name="grid", settings=settings)
    assert (tmp_path / "grid.npz").read_bytes() == b"content"
    with pytest.raises(ValueError, match=r"config/encoders.yaml: geometries.grid expects 000000000000"):
        fetch_geometries.main(str(tmp_path / "other.npz"), name="grid", settings=settings | {"sha256": "0" * 64})


def test_different_molecules_in_one_file_are_refused():
    positions = np.zeros((1, 2, 3))
    with pytest.raises(ValueError, match="no molecule, or different ones"):
        read_sdf(sdf("CN", positions) + sdf("CO", positions))
