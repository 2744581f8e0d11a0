"""The self-check of the encoder passes what it knows, and names the cause where it does not."""

import json
from pathlib import Path

import mdtraj
import numpy as np
import pytest
import torch

import check_encoder
from geom2msm.encoder.visnet import ViSNet
from geom2msm.encoder.weights import load_encoder, save_encoder

ROOT = Path(__file__).parents[2]
STRUCTURE = ROOT / "resources" / "structures" / "alanine_dipeptide.pdb"
WEIGHTS = ROOT / "resources" / "encoders" / "visnet_l6_h64.safetensors"
PROTEIN = ROOT / "data" / "trpcage_native"
SETTINGS = {
    "neighbor_rule": "nearest32", "periodic": False, "noise_nm": 0.02, "minimum_r2": 0.3, "unseen_elements": {},
    "source": "digest",
}  # fmt: skip


def described(folder: Path, trajectory: Path, topology: Path, *, n_frames: int, selection: str) -> dict[str, str]:
    """The rule's inputs and output; the inventory says what the check needs to know."""
    inventory = folder / "inventory.json"
    known = {"system": "mine", "trajectory": "run", "topology": str(topology), "selection": selection}
    inventory.write_text(json.dumps(known | {"n_frames": n_frames, "stride": 1, "make_whole": True}))
    files = {"trajectory": trajectory, "topology": topology, "inventory": inventory, "weights": WEIGHTS}
    files |= {"reference": STRUCTURE, "check": folder / "check.json"}
    return {name: str(path) for name, path in files.items()}


def dipeptide(folder: Path, *, scale: float = 1.0, order=slice(None), selection: str = "not element H") -> dict:
    """Alanine dipeptide turned about, 30 frames; wrong on purpose by a unit or by the order of the atoms."""
    molecule, rng = mdtraj.load(STRUCTURE), np.random.default_rng(0)
    turns = np.linalg.qr(rng.normal(size=(30, 3, 3)))[0]
    frames = scale * (molecule.xyz[0][order] @ turns + rng.normal(size=(30, 1, 3)))
    mdtraj.Trajectory(frames.astype(np.float32), molecule.topology).save_xtc(folder / "run.xtc")
    return described(folder, folder / "run.xtc", STRUCTURE, n_frames=30, selection=selection)


@pytest.mark.parametrize(("selection", "least"), [("not element H", 0.5), ("all", 0.65)])
def test_the_committed_weights_know_alanine_dipeptide(selection, least, tmp_path):
    files = dipeptide(tmp_path, selection=selection)
    check_encoder.main(**files, **SETTINGS)
    found = json.loads(Path(files["check"]).read_text())
    assert found["r2"] > least
    assert 0 < found["standard_error"] < 0.05
    assert found["verdict"] == "pass"
    assert found["n_frames"] == 20
    assert found["n_atoms"] == sum(element["n_atoms"] for element in found["elements"])
    assert {trial["neighbor_rule"] for trial in found["trials"]} == {"nearest32", "all", "first32"}


@pytest.mark.skipif(not PROTEIN.exists(), reason="data/trpcage_native is not here; see docs/data.md")
@pytest.mark.filterwarnings("ignore:Unlikely unit cell")
def test_the_committed_weights_know_a_protein(tmp_path):
    files = described(
        tmp_path, PROTEIN / "trp_cage.xtc", PROTEIN / "trp_cage.pdb", n_frames=4999, selection="not element H"
    )
    check_encoder.main(**files, **SETTINGS)
    assert json.loads(Path(files["check"]).read_text())["r2"] > 0.55


@pytest.mark.parametrize(
    ("scale", "cause"),
    [(10.0, "angstroms were read as nanometers"), (0.1, "nanometers were read as angstroms")],
)
def test_a_wrong_unit_stops_the_run(scale, cause, tmp_path):
    files = dipeptide(tmp_path, scale=scale)
    with pytest.raises(ValueError, match=rf"on mine: .*minimum_r2 = 0.3\. .*another unit.*{cause}.*minimum_r2: null"):
        check_encoder.main(**files, **SETTINGS)
    assert not Path(files["check"]).exists()


@pytest.mark.parametrize("selection", ["not element H", "all"])
def test_shuffled_elements_stop_the_run(selection, tmp_path):
    files = dipeptide(tmp_path, order=np.random.default_rng(0).permutation(22), selection=selection)
    with pytest.raises(ValueError, match="do not belong together"):
        check_encoder.main(**files, **SETTINGS)


def test_untrained_weights_stop_the_run(tmp_path):
    encoder, card = load_encoder(str(WEIGHTS))
    torch.manual_seed(0)
    files = dipeptide(tmp_path) | {"weights": str(tmp_path / "weights.safetensors")}
    save_encoder(files["weights"], ViSNet(encoder.config), card)
    with pytest.raises(ValueError, match=r"weights are at fault: on alanine dipeptide") as error:
        check_encoder.main(**files, **SETTINGS)
    assert "unit" not in str(error.value)
    assert "belong together" not in str(error.value)


def test_a_selection_of_single_atoms_stops_the_run_and_the_better_one_is_named(tmp_path):
    files = dipeptide(tmp_path, selection="element N or name CH3")
    with pytest.raises(ValueError, match=r"leaves out bonded atoms.*with all atoms of whole residues R² is 0\.[678]"):
        check_encoder.main(**files, **SETTINGS)


def test_a_minimum_above_the_usual_one_says_so(tmp_path):
    with pytest.raises(ValueError, match=r"minimum_r2 = 0.99\. That is above the usual minimum, 0.3"):
        check_encoder.main(**dipeptide(tmp_path), **SETTINGS | {"minimum_r2": 0.99})


def test_without_a_minimum_the_run_goes_on_and_the_cause_is_recorded(tmp_path):
    files = dipeptide(tmp_path, scale=10.0)
    check_encoder.main(**files, **SETTINGS | {"minimum_r2": None})
    found = json.loads(Path(files["check"]).read_text())
    assert found["verdict"] == "accepted by the config"
    assert "another unit" in found["causes"][0]
    assert found["threshold"] is None


def test_an_element_that_the_encoder_never_saw_is_refused_as_for_tokens(tmp_path):
    encoder, card = load_encoder(str(WEIGHTS))
    files = dipeptide(tmp_path) | {"weights": str(tmp_path / "weights.safetensors")}
    save_encoder(files["weights"], encoder, type(card)("carbon", card.architecture, (6, 7), card.config))
    with pytest.raises(ValueError, match=r"encoder carbon was not trained on O"):
        check_encoder.main(**files, **SETTINGS)


def test_a_periodic_system_needs_boxes(tmp_path):
    with pytest.raises(ValueError, match=r"run.xtc: tokens.periodic is true, but the trajectory has no periodic box"):
        check_encoder.main(**dipeptide(tmp_path), **SETTINGS | {"periodic": True})
