"""Pieces add up to the whole, and every kind of bad trajectory is refused in one sentence that names the file."""

import struct

import mdtraj
import numpy as np
import pytest

from geom2msm import trajectory as module
from geom2msm.topology import load_topology, select_atoms
from geom2msm.trajectory import iterate_frames
from geom2msm.trajectory_checks import count_saved_frames, covalent_bonds, inspect_frames
from geom2msm.trajectory_formats import dcd_frames

N_FRAMES = 23


@pytest.fixture(scope="module")
def structure(repository):
    return str(repository / "resources/structures/alanine_dipeptide.pdb")


@pytest.fixture(scope="module")
def topology(structure):
    return load_topology(structure)


@pytest.fixture(scope="module")
def heavy(topology, structure):
    return select_atoms(topology, "not element H", file=structure)


@pytest.fixture
def molecule(structure):
    """Alanine dipeptide, drifting and trembling by a few pm, 2 ps per frame, in a box of 3 nm."""
    frames = mdtraj.load(structure).xyz + 0.002 * np.random.default_rng(0).normal(size=(N_FRAMES, 22, 3))
    drift = 0.01 * np.arange(N_FRAMES)[:, None, None]
    box = np.full((N_FRAMES, 3), 3.0)
    return mdtraj.Trajectory(
        (frames + drift).astype(np.float32),
        load_topology(structure),
        time=2.0 * np.arange(N_FRAMES),
        unitcell_lengths=box,
        unitcell_angles=0 * box + 90,
    )


@pytest.fixture
def saved(tmp_path):
    """Writes a trajectory to a temporary file and gives its name."""

    def save(trajectory, name="run.xtc"):
        trajectory.save(str(tmp_path / name))
        return str(tmp_path / name)

    return save


@pytest.mark.parametrize("extension", ["xtc", "dcd", "pdb"])
@pytest.mark.parametrize("first_frame", [0, 5, 22])
def test_pieces_add_up_to_the_whole(extension, first_frame, molecule, saved, topology, heavy, monkeypatch):
    monkeypatch.setattr(module, "CHUNK_FRAMES", 7)
    path = saved(molecule, f"run.{extension}")
    pieces = list(iterate_frames(path, topology, heavy, first_frame=first_frame))
    assert pieces[0].first == first_frame
    np.testing.assert_array_equal(np.diff([piece.first for piece in pieces]), [len(p.header_ps) for p in pieces[:-1]])
    positions = np.concatenate([piece.positions_nm for piece in pieces])
    np.testing.assert_allclose(positions, molecule.xyz[first_frame:, heavy], atol=2e-3)


def test_memory_is_bounded_by_the_atoms_of_a_piece(molecule, saved, topology, heavy, monkeypatch):
    monkeypatch.setattr(module, "CHUNK_ATOMS", 4 * topology.n_atoms)
    sizes = [len(piece.header_ps) for piece in iterate_frames(saved(molecule), topology, heavy)]
    assert sizes == [4, 4, 4, 4, 4, 3]


def test_a_sound_trajectory_passes_every_check(molecule, saved, topology, heavy):
    n_frames, checks = inspect_frames(saved(molecule), topology, heavy, frame_interval_ps=2.0)
    assert n_frames == N_FRAMES
    assert checks["times"] == "agree with frame_interval_ps"
    assert checks["periodic_box"] == "yes"
    assert (checks["bonds"], checks["gaps"]) == (9, 0)
    assert 0.15 < checks["longest_bond_nm"] < 0.17


@pytest.mark.parametrize("extension", ["xtc", "dcd", "trr", "pdb"])
@pytest.mark.parametrize("n_saved", [22, 23])
@pytest.mark.parametrize("stride", [1, 2, 5, 40])
def test_all_saved_frames_are_counted_whatever_the_stride(extension, n_saved, stride, molecule, saved, topology):
    path = saved(molecule[:n_saved], f"run.{extension}")
    assert count_saved_frames(path, topology, n_frames=-(-n_saved // stride), stride=stride) == n_saved


def refusal(path, topology, atoms, *, frame_interval_ps=2.0, make_whole=True):
    with pytest.raises(ValueError, match=r".") as caught:
        inspect_frames(path, topology, atoms, frame_interval_ps=frame_interval_ps, make_whole=make_whole)
    message = str(caught.value)
    assert message.startswith(path)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_coordinates_that_are_not_finite_are_refused(value, molecule, saved, topology, heavy):
    molecule.xyz[17, heavy[3], 1] = value
    assert "frame 17 has coordinates that are not finite" in refusal(saved(molecule, "run.trr"), topology, heavy)


def test_coincident_atoms_are_refused(molecule, saved, topology, heavy):
    molecule.xyz[4] = 0  # what XTC holds in place of NaN
    assert "bonded atoms coincide" in refusal(saved(molecule), topology, heavy)


@pytest.mark.parametrize("boxed", [True, False])
@pytest.mark.parametrize(
    ("name", "factor", "size", "saved_in"),
    [("run.xtc", 10, "large", "ångström"), ("run.dcd", 0.1, "small", "nm"), ("run.gro", 10, "large", "ångström")],
)
def test_another_unit_is_named_before_anything_else(
    name, factor, size, saved_in, boxed, molecule, saved, topology, heavy
):
    molecule.xyz *= factor
    if not boxed:
        molecule.unitcell_vectors = None
    message = refusal(saved(molecule, name), topology, heavy)
    assert f"the coordinates are ten times too {size} (bonds of {0.109 * factor:.2g}" in message
    assert f"{saved_in} were saved in a format that holds" in message


def test_another_order_of_atoms_is_refused(molecule, saved, topology, heavy, monkeypatch):
    monkeypatch.setattr(module, "CHUNK_FRAMES", 7)
    molecule.xyz = molecule.xyz[:, ::-1]
    assert "not in the order of the topology file" in refusal(saved(molecule), topology, heavy)


def test_two_swapped_atoms_are_refused(molecule, saved, topology, heavy):
    molecule.xyz[:, heavy[[0, 3]]] = molecule.xyz[:, heavy[[3, 0]]]
    assert "not in the order of the topology file" in refusal(saved(molecule), topology, heavy)


def test_another_number_of_atoms_is_refused(molecule, saved, topology, heavy):
    path = saved(molecule.atom_slice(heavy))
    assert "10 atoms per frame, but the topology file has 22" in refusal(path, topology, heavy)


@pytest.mark.parametrize("frames", [slice(6, 8), slice(0, N_FRAMES)])
def test_a_molecule_broken_across_the_box_is_refused(frames, molecule, saved, topology, heavy):
    nitrogen = topology.select("resname ALA and name N")[0]
    molecule.xyz[frames, nitrogen:, 0] += 3.0
    message = refusal(saved(molecule), topology, heavy, make_whole=False)
    assert "broken across the periodic box: 1 bonds jump (such as ACE1-C-ALA2-N, up to" in message
    assert message.endswith("set trajectories.make_whole to true.")


@pytest.mark.parametrize("frames", [slice(9, 10), slice(0, N_FRAMES)])
def test_a_molecule_broken_across_a_tilted_box_is_refused(frames, molecule, saved, topology, heavy):
    molecule.unitcell_vectors = np.tile(np.array([[3, 0, 0], [1, 2.8, 0], [1, 0.9, 2.6]], np.float32), (N_FRAMES, 1, 1))
    molecule.xyz[frames, 6:] += molecule.unitcell_vectors[0].sum(axis=0)
    assert "broken across the periodic box" in refusal(saved(molecule), topology, heavy, make_whole=False)


def test_a_molecule_broken_across_an_unsaved_box_is_refused(molecule, saved, topology, heavy):
    molecule.unitcell_vectors = None
    molecule.xyz[9, 6:] += 3.0
    assert "the file has no periodic box by which they could be mended" in refusal(saved(molecule), topology, heavy)


@pytest.mark.parametrize("selection", ["not element H", "all", "name CA CB", "name CH3"])
def test_broken_molecules_are_made_whole_for_every_selection(selection, molecule, saved, topology, structure):
    atoms, whole = select_atoms(topology, selection, file=structure), molecule.xyz.copy()
    broken = np.arange(N_FRAMES) % 3 == 1
    molecule.unitcell_vectors = np.tile(np.array([[3, 0, 0], [1, 2.8, 0], [1, 0.9, 2.6]], np.float32), (N_FRAMES, 1, 1))
    molecule.xyz[broken, 14:] += molecule.unitcell_vectors[0, 1] - molecule.unitcell_vectors[0, 2]
    path = saved(molecule, "run.trr")
    pieces = list(iterate_frames(path, topology, atoms))
    np.testing.assert_allclose(np.concatenate([p.positions_nm for p in pieces]), whole[:, atoms], atol=1e-5)
    np.testing.assert_array_equal(np.concatenate([piece.made_whole for piece in pieces]), broken)
    n_frames, checks = inspect_frames(path, topology, atoms, frame_interval_ps=2.0)
    assert (n_frames, checks["frames_made_whole"], checks["frames_brought_together"]) == (N_FRAMES, broken.sum(), 0)


def test_a_whole_trajectory_is_not_touched(molecule, saved, topology, heavy):
    path = saved(molecule, "run.trr")
    for piece in iterate_frames(path, topology, heavy):
        np.testing.assert_array_equal(piece.positions_nm, molecule.xyz[:, heavy])


def test_a_dummy_box_mends_nothing(molecule, saved, topology, heavy):
    molecule.unitcell_vectors = np.tile(0.1 * np.eye(3, dtype=np.float32), (N_FRAMES, 1, 1))
    path = saved(molecule, "run.trr")
    for piece in iterate_frames(path, topology, heavy):
        np.testing.assert_array_equal(piece.positions_nm, molecule.xyz[:, heavy])


def test_a_gap_between_residues_is_counted_and_tolerated(molecule, saved, topology, heavy):
    molecule.unitcell_vectors = None
    molecule.xyz[:, topology.select("resname NME")] += 0.5
    _, checks = inspect_frames(saved(molecule), topology, heavy, frame_interval_ps=2.0)
    assert checks["gaps"] == 1
    assert checks["longest_bond_nm"] < 0.17


def test_all_bonds_of_a_peptide_are_checked(topology):
    bonds = covalent_bonds(topology, np.arange(topology.n_atoms))
    assert ((~bonds.to_hydrogen).sum(), bonds.to_hydrogen.sum()) == (9, 12)


def test_a_false_bond_to_hydrogen_at_the_end_of_a_chain_does_not_matter(molecule, saved, topology, heavy):
    path = saved(molecule)
    hydrogen, carbon = topology.select("resname NME and name H")[0], topology.select("resname NME and name C")[0]
    false = topology.copy()
    false.add_bond(false.atom(hydrogen), false.atom(carbon))
    assert inspect_frames(path, false, heavy, frame_interval_ps=2.0)[1]["false_bonds_to_hydrogen"] == 1


def test_atoms_without_bonds_pass(molecule, saved, topology):
    atoms, alone = topology.select("name CA"), topology.copy()
    alone._bonds = []
    assert inspect_frames(saved(molecule), alone, atoms, frame_interval_ps=2.0)[1]["bonds"] == 0


@pytest.mark.parametrize("bare", [0, 1, 4])
def test_a_frame_without_coordinates_is_named_as_such(bare, molecule, topology, heavy, tmp_path):
    """As GROMACS writes them where nstvout is not nstxout: sizes of the parts, then coordinates or velocities."""
    path = tmp_path / "run.trr"
    with path.open("wb") as file:
        for frame, positions in enumerate(molecule.xyz):
            sizes = [0, 12 * 22] if frame == bare else [12 * 22, 0]
            file.write(struct.pack(">3i12s", 1993, 13, 12, b"GMX_trn_file"))
            file.write(struct.pack(">13i2f", 0, 0, 36, 0, 0, 0, 0, *sizes, 0, 22, frame, 0, 2.0 * frame, 0.0))
            file.write(np.diag([3.0] * 3).astype(">f4").tobytes() + positions.astype(">f4").tobytes())
    message = refusal(str(path), topology, heavy)
    assert f"frame {bare}: no coordinates, only velocities or forces; write the frames with coordinates" in message


@pytest.mark.parametrize("extension", ["xtc", "trr", "dcd"])
def test_a_truncated_file_is_refused(extension, molecule, saved, topology, heavy, tmp_path):
    content = (tmp_path / saved(molecule, f"run.{extension}")).read_bytes()
    cut = tmp_path / f"cut.{extension}"
    cut.write_bytes(content[:-150])
    assert "truncated" in refusal(str(cut), topology, heavy)


def test_a_dcd_file_cut_between_frames_is_read_and_the_missing_ones_are_told(
    molecule, saved, topology, heavy, tmp_path, caplog
):
    path = tmp_path / saved(molecule, "run.dcd")
    n_frame = 56 + 3 * (4 * 22 + 8)
    path.write_bytes(path.read_bytes()[:-n_frame])
    found = dcd_frames(str(path))
    assert (found.in_header, found.held, found.is_cut) == (N_FRAMES, N_FRAMES - 1, False)
    n_frames, checks = inspect_frames(str(path), topology, heavy, frame_interval_ps=2.0)
    assert n_frames == N_FRAMES - 1
    assert f"the header counts {N_FRAMES} frames, the file holds {N_FRAMES - 1}" in checks["times"]
    assert "stopped early" in caplog.text


def test_a_file_without_frames_is_refused(molecule, saved, topology, heavy, tmp_path, monkeypatch):
    (tmp_path / "empty.xtc").touch()
    assert "there is no such file" in refusal(str(tmp_path / "absent.xtc"), topology, heavy)
    assert "the file is empty" in refusal(str(tmp_path / "empty.xtc"), topology, heavy)
    path = tmp_path / saved(molecule, "header.dcd")
    path.write_bytes(path.read_bytes()[: -N_FRAMES * (56 + 3 * (4 * 22 + 8))])
    assert "cannot read this file beyond frame 0" in refusal(str(path), topology, heavy)
    monkeypatch.setattr(module, "saved_frames", lambda *_, **__: iter(()))
    assert "holds no frame" in refusal(saved(molecule), topology, heavy)


@pytest.mark.parametrize("extension", ["xtc", "dcd", "xyz", "unknown"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # MDTraj leaves some open
def test_a_file_of_noise_is_refused(extension, topology, heavy, tmp_path):
    path = tmp_path / f"noise.{extension}"
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    assert "cannot read this file beyond frame 0" in refusal(str(path), topology, heavy)


def test_times_that_contradict_the_config_are_refused(molecule, saved, topology, heavy):
    message = refusal(saved(molecule), topology, heavy, frame_interval_ps=10.0)
    assert "trajectories.frame_interval_ps = 10, but the times in the file are 2 ps apart" in message


@pytest.mark.parametrize("extension", ["xtc", "dcd", "xyz"])
@pytest.mark.parametrize("stride", [1, 2, 5, 11, 50])
@pytest.mark.parametrize("first_frame", [0, 1])
def test_strided_frames_count_from_the_first(
    extension, stride, first_frame, molecule, saved, topology, heavy, monkeypatch
):
    monkeypatch.setattr(module, "CHUNK_FRAMES", 4)
    path = saved(molecule, f"run.{extension}")
    pieces = list(iterate_frames(path, topology, heavy, first_frame=first_frame, stride=stride))
    expected = molecule.xyz[::stride][first_frame:, heavy]
    assert sum(len(piece.positions_nm) for piece in pieces) == len(expected)
    for piece in pieces:
        rows = slice(piece.first - first_frame, piece.first - first_frame + len(piece.positions_nm))
        np.testing.assert_allclose(piece.positions_nm, expected[rows], atol=2e-3)


def test_a_stride_leaves_the_interval_between_saved_frames_as_it_is(molecule, saved, topology, heavy):
    n_frames, checks = inspect_frames(saved(molecule), topology, heavy, frame_interval_ps=2.0, stride=4)
    assert (n_frames, checks["times"]) == (6, "agree with frame_interval_ps")


@pytest.mark.parametrize("selection", ["not element H", "name CA"])
@pytest.mark.parametrize("pair", [(8, 10), (8, 6), (14, 15), (8, 14)], ids=["CA-CB", "CA-N", "C-O", "CA-C"])
def test_two_swapped_atoms_of_one_residue_are_refused(pair, selection, molecule, saved, topology, structure):
    molecule.xyz[:, pair] = molecule.xyz[:, pair[::-1]]
    atoms = select_atoms(topology, selection, file=structure)
    assert "not in the order of the topology file" in refusal(saved(molecule), topology, atoms)


def test_two_swapped_hydrogens_within_the_chain_are_refused(molecule, saved, topology, heavy):
    pair = topology.select("resname ALA and (name H HA)")
    molecule.xyz[:, pair] = molecule.xyz[:, pair[::-1]]
    assert "not in the order of the topology file" in refusal(saved(molecule), topology, heavy)


@pytest.mark.parametrize("n_water", [5])
def test_another_order_of_molecules_is_refused(n_water, molecule, saved, topology, heavy):
    """The topology has the peptide first, the trajectory last; the numbers of atoms agree."""
    joined = topology.copy()
    chain = joined.add_chain()
    for _ in range(n_water):
        water = joined.add_residue("HOH", chain)
        oxygen, *hydrogens = (
            joined.add_atom(name, mdtraj.element.Element.getBySymbol(name[0]), water) for name in ("O", "H1", "H2")
        )
        for hydrogen in hydrogens:
            joined.add_bond(oxygen, hydrogen)
    water_nm = np.array([[0, 0, 0], [0.0957, 0, 0], [-0.024, 0.0927, 0]]) + 0.4 * np.arange(n_water)[:, None, None]
    water_nm = np.tile(water_nm.reshape(1, -1, 3), (N_FRAMES, 1, 1)) + 1.0
    for parts, right in (((molecule.xyz, water_nm), True), ((water_nm, molecule.xyz), False)):
        xyz = np.concatenate(parts, axis=1).astype(np.float32)
        box = {"unitcell_lengths": np.full((N_FRAMES, 3), 4.0), "unitcell_angles": np.full((N_FRAMES, 3), 90.0)}
        path = saved(mdtraj.Trajectory(xyz, joined, time=2.0 * np.arange(N_FRAMES), **box))
        if right:
            assert inspect_frames(path, joined, heavy, frame_interval_ps=2.0)[0] == N_FRAMES
        else:
            assert "not in the order of the topology file" in refusal(path, joined, heavy)


REAL = [
    ("ala2_implicit/ala2.pdb", "ala2_implicit/trajectory-0.dcd", 1.0, 9999, "none in this format"),
    ("ala2_implicit/ala2.pdb", "ala2_implicit/mini_5ps/traj0.xtc", 5.0, 2000, "agree with frame_interval_ps"),
    ("pentapeptide/pentapeptide.pdb", "pentapeptide/job02.xtc", 100.0, 5001, "agree with frame_interval_ps"),
    ("gpcr_5ht1b/top.pdb", "gpcr_5ht1b/traj.xtc", 1.0, 250, "unusable: 6e+06 ps between frames"),
    ("trpcage_native/trp_cage.pdb", "trpcage_native/trp_cage.xtc", 10.0, 4999, "unusable: plain frame numbers"),
    (
        "adk_dims/adk.psf",
        "adk_dims/adk_dims.dcd",
        1.0,
        98,
        "none in this format; the header counts 500 frames, the file holds 98",
    ),
]


@pytest.mark.parametrize(("topology", "file", "frame_interval_ps", "n_frames", "times"), REAL)
@pytest.mark.filterwarnings("ignore:Unlikely unit cell vectors")
def test_real_trajectories_of_all_kinds_pass(topology, file, frame_interval_ps, n_frames, times, repository):
    data = repository / "data"
    if not (data / file).exists():
        pytest.skip(f"data/{file} is not here")
    molecules = load_topology(str(data / topology))
    atoms = select_atoms(molecules, "not element H", file=topology)
    counted, checks = inspect_frames(str(data / file), molecules, atoms, frame_interval_ps=frame_interval_ps)
    assert (counted, checks["times"]) == (n_frames, times)
    assert checks["gaps"] == 0
    assert checks["frames_made_whole"] == checks["frames_brought_together"] == 0


def test_a_receptor_and_its_ligand_cut_by_their_box_are_put_together_again(repository, saved):
    """Wrapped atom by atom with the origin inside the receptor, so that every frame is in pieces."""
    data = repository / "data/gpcr_5ht1b"
    if not data.exists():
        pytest.skip("data/gpcr_5ht1b is not here")
    molecules = load_topology(str(data / "top.pdb"))
    atoms = select_atoms(molecules, "not element H", file="top.pdb")
    trajectory = mdtraj.load(str(data / "traj.xtc"), top=molecules)[:20]
    whole, box = trajectory.xyz[:, atoms], trajectory.unitcell_lengths[:, None]
    trajectory.xyz = (trajectory.xyz - trajectory.xyz[:, :1]) % box
    trajectory.time = np.arange(20) * 2.0
    path = saved(trajectory)
    mended = np.concatenate([piece.positions_nm for piece in iterate_frames(path, molecules, atoms)])
    np.testing.assert_allclose(mended - mended[:, :1], whole - whole[:, :1], atol=2e-3)
    n_frames, checks = inspect_frames(path, molecules, atoms, frame_interval_ps=2.0)
    assert (n_frames, checks["frames_made_whole"], checks["gaps"]) == (20, 20, 0)
    assert "broken across the periodic box" in refusal(path, molecules, atoms, make_whole=False)


@pytest.mark.parametrize(("topology", "file", "frame_interval_ps", "n_frames", "times"), REAL)
@pytest.mark.filterwarnings("ignore:Unlikely unit cell vectors")
def test_real_trajectories_in_another_order_are_refused(
    topology, file, frame_interval_ps, n_frames, times, repository, saved
):
    data = repository / "data"
    if not (data / file).exists():
        pytest.skip(f"data/{file} is not here")
    molecules = load_topology(str(data / topology))
    trajectory = mdtraj.load(str(data / file), top=molecules)[:5]
    atoms = select_atoms(molecules, "not element H", file=topology)
    shuffled = np.arange(molecules.n_atoms)
    shuffled[atoms[[2, 6]]] = atoms[[6, 2]]
    for order in (shuffled, np.roll(np.arange(molecules.n_atoms), 1)):
        path = saved(mdtraj.Trajectory(trajectory.xyz[:, order], molecules, time=np.arange(5) * 2.0))
        assert "not in the order of the topology file" in refusal(path, molecules, atoms)
