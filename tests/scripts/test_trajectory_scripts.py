"""From a start structure to inventory, token table and torsions, each by its rule's own main."""

import json
import shutil
from pathlib import Path

import mdtraj
import numpy as np
import pytest

import build_token_table
import check_lags
import compute_torsions
import inspect_trajectory
import simulate_trajectories
import split_trajectories
from geom2msm.store import read_array, read_attributes
from geom2msm.token_table import read_token_table
from geom2msm.topology import load_topology
from geom2msm.torsions import along_bonds, backbone_torsions, feature_names

SELECTION = "not element H"
RULES = [{"selection": "all", "per": "residue"}]
SETTINGS = {"n_runs": 1, "run_ns": 0.001, "temperature_K": 500.0, "friction_per_ps": 10.0, "seed": 1}


@pytest.fixture(scope="module")
def structure(repository):
    return str(repository / "resources/structures/alanine_dipeptide.pdb")


@pytest.fixture(scope="module")
def run(structure, tmp_path_factory):
    """One simulated run of 10 frames."""
    path = str(tmp_path_factory.mktemp("simulation") / "run-0.xtc")
    settings = SETTINGS | {"structure": structure}
    simulate_trajectories.main(structure, path, run=0, settings=settings, frame_interval_ps=0.1)
    return path


def inspected(run, structure, path, *, stride=1, trajectory="run-0"):
    inspect_trajectory.main(
        run,
        structure,
        str(path),
        system="ala2",
        trajectory=trajectory,
        selection=SELECTION,
        frame_interval_ps=0.1,
        stride=stride,
        make_whole=True,
    )
    return json.loads(path.read_text())


def test_a_simulated_run_has_an_inventory(run, structure, tmp_path):
    inventory = inspected(run, structure, tmp_path / "run-0.json")
    assert inventory["n_frames"] == 10
    assert inventory["n_atoms"] == 22
    assert inventory["n_selected_atoms"] == 10
    assert inventory["duration_ns"] == pytest.approx(0.001)
    assert inventory["checks"]["times"] == "agree with frame_interval_ps"
    assert inventory["sha256"] == inventory["provenance"]["inputs"]["file"]


def test_a_stride_makes_frames_rarer_and_the_interval_longer(run, structure, tmp_path):
    inventory = inspected(run, structure, tmp_path / "run-0.json", stride=3)
    assert (inventory["n_frames"], inventory["stride"]) == (4, 3)
    assert inventory["file_frame_interval_ps"] == 0.1
    assert inventory["frame_interval_ps"] == pytest.approx(0.3)
    output = str(tmp_path / "run-0.zarr.zip")
    compute_torsions.main(run, structure, str(tmp_path / "run-0.json"), output, source="0")
    compute_torsions.main(
        run, structure, all_frames(run, structure, tmp_path), str(tmp_path / "all.zarr.zip"), source="0"
    )
    np.testing.assert_array_equal(
        read_array(output, "features"), read_array(str(tmp_path / "all.zarr.zip"), "features")[::3]
    )
    np.testing.assert_allclose(read_array(output, "time_ps"), [0, 0.3, 0.6, 0.9])


def all_frames(run, structure, tmp_path):
    inspected(run, structure, tmp_path / "all.json")
    return str(tmp_path / "all.json")


def test_a_run_shorter_than_the_longest_lag_is_refused(run, structure, tmp_path):
    inspected(run, structure, tmp_path / "run-0.json")
    lags, inventories = tmp_path / "lags.json", [str(tmp_path / "run-0.json")]
    with pytest.raises(ValueError, match=r"run-0\.xtc: 10 frames.* longest lag in the config, 1 ps; .* leave this"):
        check_lags.main(inventories, str(lags), longest_lag_ps=1.0, continuous=False)
    assert not lags.exists()
    check_lags.main(inventories, str(lags), longest_lag_ps=0.5, continuous=False)
    assert json.loads(lags.read_text()) == {"longest_lag_ps": 0.5, "shortest_run_ps": 1.0}


def test_a_short_piece_of_a_long_run_is_no_short_run(run, structure, tmp_path):
    pieces = []
    for number, (start, stop) in enumerate([(0, 6), (6, 8), (8, 10)]):
        pieces.append(str(tmp_path / f"piece-{number}.xtc"))
        mdtraj.load(run, top=structure)[start:stop].save_xtc(pieces[-1])
    inventories = [str(tmp_path / f"piece-{number}.json") for number in range(3)]
    for number, path in enumerate(inventories):
        inspected(pieces[number], structure, Path(path), trajectory=f"piece-{number}")
    lags = tmp_path / "lags.json"
    check_lags.main(inventories, str(lags), longest_lag_ps=0.9, continuous=True)
    assert json.loads(lags.read_text())["shortest_run_ps"] == pytest.approx(1.0)
    with pytest.raises(ValueError, match=r"piece-1\.xtc: 2 frames, .* or leave this trajectory out"):
        check_lags.main(inventories, str(lags), longest_lag_ps=0.5, continuous=False)
    with pytest.raises(ValueError, match=r"piece-0\.xtc to .*piece-2\.xtc, joined: 10 frames, .*scan_lags_ps\.$"):
        check_lags.main(inventories, str(lags), longest_lag_ps=1.0, continuous=True)


def test_a_copy_of_a_trajectory_is_refused_before_anything_is_made_of_it(run, structure, tmp_path):
    shutil.copy(run, tmp_path / "copy.xtc")
    inspected(run, structure, tmp_path / "run-0.json")
    inspected(str(tmp_path / "copy.xtc"), structure, tmp_path / "copy.json", trajectory="copy")
    inventories, split = [str(tmp_path / f"{name}.json") for name in ("run-0", "copy")], tmp_path / "split.json"
    settings = {"scheme": "trajectories", "n_folds": 2, "nested": False, "block_ns": None, "gap_ps": 0.1}
    with pytest.raises(ValueError, match=r"copy\.xtc: the content is that of .*run-0\.xtc.*copy and run-0"):
        split_trajectories.main(inventories, str(split), continuous=False, settings=settings)
    with pytest.raises(ValueError, match=r"copy\.xtc: the content is that of .*run-0\.xtc"):
        check_lags.main(inventories, str(tmp_path / "lags.json"), longest_lag_ps=0.1, continuous=False)
    assert not split.exists()


def test_the_token_table_lists_caps_and_alanine(structure, tmp_path):
    build_token_table.main(structure, str(tmp_path / "tokens.csv"), selection=SELECTION, rules=RULES)
    table = read_token_table(str(tmp_path / "tokens.csv"))
    assert list(table.residue_name) == ["ACE", "ALA", "NME"]
    assert table.n_atoms.sum() == 10
    assert " ".join(table.atoms) == "1 4 5 6 8 10 14 15 16 18"


def test_torsions_are_those_of_mdtraj(run, structure, tmp_path):
    inspected(run, structure, tmp_path / "run-0.json")
    output = str(tmp_path / "run-0.zarr.zip")
    compute_torsions.main(run, structure, str(tmp_path / "run-0.json"), output, source="0")
    trajectory = mdtraj.load(run, top=structure)
    phi, psi = mdtraj.compute_phi(trajectory)[1][:, 0], mdtraj.compute_psi(trajectory)[1][:, 0]
    attributes = read_attributes(output)
    assert attributes["names"] == ["cos phi ALA2", "sin phi ALA2", "cos psi ALA2", "sin psi ALA2"]
    expected = np.stack([np.cos(phi), np.sin(phi), np.cos(psi), np.sin(psi)], axis=1)
    np.testing.assert_allclose(read_array(output, "features"), expected, atol=1e-5)
    np.testing.assert_allclose(read_array(output, "time_ps"), 0.1 * np.arange(10))


def test_torsions_across_a_gap_or_outside_of_the_selection_are_left_out(tmp_path, caplog):
    # Six glycines stretched out; residues 3 and 4 are cut out of the middle of the chain.
    chain, xyz = mdtraj.Topology(), []
    residues = chain.add_chain("A")
    for number in (1, 2, 5, 6):
        residue = chain.add_residue("GLY", residues, resSeq=number)
        for place, name in enumerate(("N", "CA", "C")):
            chain.add_atom(name, mdtraj.element.get_by_symbol(name[0]), residue)
            xyz.append([0.13 * (3 * number + place), 0.04 * ((3 * number + place) % 2), 0.0])
    path = str(tmp_path / "gap.dcd")
    mdtraj.Trajectory(np.array([xyz], np.float32), chain).save_dcd(path)
    names, quartets = backbone_torsions(chain, np.arange(chain.n_atoms), file="x.pdb")
    along = along_bonds(path, chain, names, quartets, make_whole=False)
    assert [name for name, kept in zip(names, along, strict=True) if kept] == [
        "psi GLY1", "phi GLY2", "psi GLY5", "phi GLY6",
    ]  # fmt: skip
    assert "psi GLY2 is left out" in caplog.text
    names, _ = backbone_torsions(chain, chain.select("residue 1 2"), file="x.pdb")
    assert names == ["psi GLY1", "phi GLY2"]


@pytest.mark.parametrize(
    ("identifiers", "expected"),
    [
        ("AB", ["A psi GLY1", "A phi GLY2", "B psi GLY1", "B phi GLY2"]),
        ("AA", ["A psi GLY1", "A phi GLY2", "A psi GLY1-2", "A phi GLY2-2"]),
        ("  ", ["0 psi GLY1", "0 phi GLY2", "1 psi GLY1", "1 phi GLY2"]),
    ],
)
def test_torsions_of_several_chains_keep_their_names_apart(identifiers, expected):
    chain = mdtraj.Topology()
    for identifier in identifiers:
        residues = chain.add_chain(identifier)
        for number in (1, 2):
            residue = chain.add_residue("GLY", residues, resSeq=number)
            for name in ("N", "CA", "C"):
                chain.add_atom(name, mdtraj.element.get_by_symbol(name[0]), residue)
    names, quartets = backbone_torsions(chain, np.arange(chain.n_atoms), file="x.pdb")
    assert names == expected
    np.testing.assert_array_equal(quartets, [[0, 1, 2, 3], [2, 3, 4, 5], [6, 7, 8, 9], [8, 9, 10, 11]])
    assert len(feature_names(names)) == 8


def test_a_system_without_backbone_torsions_is_refused(structure):
    topology = load_topology(structure)
    capless = topology.subset(topology.select("resname ALA"))
    with pytest.raises(ValueError, match=r"x\.pdb: the selected residues have no backbone torsions"):
        backbone_torsions(capless, np.arange(capless.n_atoms), file="x.pdb")
