"""Pretrained weights still know their task, on a real protein that none of them was trained on."""

from pathlib import Path

import mdtraj
import numpy as np
import pytest
import yaml

import prepare_encoder
from geom2msm.encoder.pretraining import PretrainingConfig, denoising_r2, padded
from geom2msm.encoder.weights import load_encoder

ROOT = Path(__file__).parents[2]
ENCODERS = yaml.safe_load((ROOT / "config" / "encoders.yaml").read_text())["encoders"]
PROTEIN = ROOT / "data" / "trpcage_native" / "trp_cage.pdb"
# Least R² with all atoms and with heavy atoms only; TensorNet reaches 5 Å and hardly knows molecules without hydrogens.
LEAST = {"visnet": (0.7, 0.6), "torchmd_et": (0.7, 0.6), "tensornet": (0.7, 0.3)}
TASK = PretrainingConfig(
    noise_nm=0.02, batch_geometries=1, n_epochs=1.0, learning_rate=1e-3, neighbor_rule="nearest32",
    validation_fraction=0.1, evaluations=1, compile=False, seed=0,
)  # fmt: skip


@pytest.mark.filterwarnings("ignore:Unlikely unit cell")
@pytest.mark.parametrize("name", ENCODERS)
def test_denoising_works_on_a_protein(name, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    for needed in (PROTEIN, Path(ENCODERS[name]["weights"]["path"])):
        if not needed.exists():
            pytest.skip(f"{needed} is not here; see docs/data.md for where the data comes from")
    weights = str(tmp_path / "weights.safetensors")
    prepare_encoder.main(weights, encoder=name, settings=ENCODERS[name])
    encoder, card = load_encoder(weights)

    def prediction(numbers, positions, table):
        return encoder.displacement(*encoder(numbers, positions, table))

    protein = mdtraj.load(PROTEIN)
    numbers = np.array([atom.element.atomic_number for atom in protein.topology.atoms])
    for chosen, least in zip((numbers > 0, numbers > 1), LEAST[card.architecture], strict=True):
        frame = padded([(numbers[chosen], protein.xyz[0, chosen])])
        assert denoising_r2(prediction, [frame] * 3, TASK, encoder.config.cutoff_nm) > least
