"""Every format gives back what was written, frame by frame, and never fewer frames than the file can tell it has."""

import json
import warnings

import h5py
import mdtraj
import numpy as np
import pytest

from geom2msm import trajectory as module
from geom2msm.formats import TRAJECTORY_FORMATS
from geom2msm.topology import load_topology
from geom2msm.trajectory import iterate_frames
from geom2msm.trajectory_text import CutError, lines_of, text_frames

FORMATS = [
    "xtc", "trr", "dcd", "nc", "netcdf", "ncdf", "h5", "hdf5", "pdb", "pdb.gz", "mmcif", "cif", "pdbx", "cif.gz", "gro",
    "xyz", "xyz.gz", "lammpstrj",
]  # fmt: skip
WITHOUT_BOX = {"xyz", "xyz.gz"}
N_FRAMES = 7
TILTED = np.array([[3, 0, 0], [1, 2.8, 0], [-1, 0.9, 2.6]])


@pytest.fixture(scope="module")
def structure(repository):
    return str(repository / "resources/structures/alanine_dipeptide.pdb")


@pytest.fixture(scope="module")
def topology(structure):
    return load_topology(structure)


@pytest.fixture(scope="module")
def molecule(structure, topology):
    """Alanine dipeptide, trembling, 2 ps per frame, in a tilted box."""
    positions = mdtraj.load(structure).xyz + 0.01 * np.random.default_rng(0).normal(size=(N_FRAMES, 22, 3))
    trajectory = mdtraj.Trajectory(positions.astype(np.float32), topology, time=2.0 * np.arange(N_FRAMES))
    trajectory.unitcell_vectors = np.tile(TILTED, (N_FRAMES, 1, 1)).astype(np.float32)
    return trajectory


def write(trajectory, path):
    """Saves a trajectory; MDTraj writes HDF5 only with PyTables, so that its layout is laid out here."""
    if path.suffix not in (".h5", ".hdf5"):
        # MDTraj knows mmCIF as .cif only, and advises against scipy for NetCDF.
        alias = path.with_suffix(".cif") if path.suffix == ".mmcif" else path
        with warnings.catch_warnings(action="ignore"):
            trajectory.save(str(alias))
        return alias.rename(path)
    arrays = {"coordinates": trajectory.xyz, "time": trajectory.time}
    arrays |= {"cell_lengths": trajectory.unitcell_lengths, "cell_angles": trajectory.unitcell_angles}
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array.astype(np.float32), chunks=(1, *array.shape[1:]), compression="gzip")
        file["coordinates"].attrs["units"] = np.bytes_("nanometers")
        file["topology"] = json.dumps({})
    return path


@pytest.fixture(scope="module")
def files(molecule, tmp_path_factory):
    folder = tmp_path_factory.mktemp("formats")
    return {name: write(molecule, folder / f"run.{name}") for name in FORMATS}


def all_frames(path, topology, **options):
    pieces = list(iterate_frames(str(path), topology, np.arange(22), make_whole=False, **options))
    return np.concatenate([piece.positions_nm for piece in pieces]) if pieces else np.zeros((0, 22, 3))


def refusal(path, topology):
    with pytest.raises(ValueError, match=r".") as caught:
        all_frames(path, topology)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


def test_every_known_ending_is_tested():
    assert {f".{name}" for name in FORMATS} | {".mmcif.gz", ".pdbx.gz"} == set(TRAJECTORY_FORMATS)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("first_frame", [0, 2, N_FRAMES])
def test_frames_come_back_as_they_were_written(name, stride, first_frame, files, molecule, topology, monkeypatch):
    monkeypatch.setattr(module, "CHUNK_FRAMES", 3)
    frames = all_frames(files[name], topology, first_frame=first_frame, stride=stride)
    expected = molecule.xyz[::stride][first_frame:]
    assert len(frames) == len(expected)
    np.testing.assert_allclose(frames, expected, atol=1e-3)


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in WITHOUT_BOX])
def test_the_cell_comes_back_up_to_a_rotation_of_its_description(name, files, topology):
    piece = next(iterate_frames(str(files[name]), topology, np.arange(22)))
    products = np.einsum("fix,fjx->fij", piece.cell_nm, piece.cell_nm)
    np.testing.assert_allclose(products, np.tile(TILTED @ TILTED.T, (len(products), 1, 1)), atol=0.02)


@pytest.mark.parametrize("name", ["xtc", "trr", "nc", "h5"])
def test_times_come_back_where_the_format_has_them(name, files, topology):
    piece = next(iterate_frames(str(files[name]), topology, np.arange(22), first_frame=2, stride=2))
    np.testing.assert_allclose(piece.header_ps, [8.0, 12.0])


@pytest.mark.parametrize("name", FORMATS)
def test_a_subset_of_the_atoms_is_that_subset(name, files, molecule, topology):
    atoms = np.array([3, 4, 17])
    piece = next(iterate_frames(str(files[name]), topology, atoms))
    np.testing.assert_allclose(piece.positions_nm, molecule.xyz[:, atoms], atol=1e-3)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("n_atoms", [21, 10])
def test_another_number_of_atoms_is_refused(name, n_atoms, molecule, topology, tmp_path):
    path = write(molecule.atom_slice(np.arange(n_atoms)), tmp_path / f"run.{name}")
    assert f"{n_atoms} atoms per frame, but the topology file has 22" in refusal(path, topology)


# How many of all cuts pass for whole files of one frame less: where frames follow each other without a count or a
# mark; after ENDMDL with or without its line feed, and around the # of an mmCIF file.
CUTS_BETWEEN_FRAMES = {
    "xtc": 1,
    "trr": 1,
    "dcd": 1,
    "nc": 0,
    "h5": 0,
    "pdb": 2,
    "cif": 3,
    "gro": 1,
    "xyz": 1,
    "lammpstrj": 1,
}


@pytest.mark.parametrize("name", CUTS_BETWEEN_FRAMES)
def test_a_file_cut_within_a_frame_is_refused_wherever_it_is_cut(name, molecule, topology, tmp_path):
    atoms = np.arange(12)
    content = write(molecule[:3].atom_slice(atoms), tmp_path / f"run.{name}").read_bytes()
    part, cut = topology.subset(atoms), tmp_path / f"cut.{name}"
    counts, reasons, binary = [], [], name in ("xtc", "trr", "dcd", "nc", "h5")
    # In text around the beginnings of lines; in an HDF5 file any byte less is noticed.
    lines = {place + 1 + i for place, byte in enumerate(content) if byte == 10 for i in (-1, 0, 5)}
    for length in range(int(0.6 * len(content)), len(content), 97 if name == "h5" else 1):
        if not binary and length not in lines:
            continue
        cut.write_bytes(content[:length])
        try:
            counts.append(sum(len(piece.positions_nm) for piece in iterate_frames(str(cut), part, atoms)))
        except ValueError as error:
            reasons.append(str(error))
    if name in ("dcd", "gro", "xyz", "lammpstrj"):
        assert all("(truncated)" in reason for reason in reasons)
    assert set(counts) <= {2, 3}
    assert counts.count(2) == CUTS_BETWEEN_FRAMES[name]


@pytest.mark.parametrize("name", ["pdb.gz", "cif.gz", "xyz.gz"])
def test_a_zipped_file_that_is_cut_is_refused(name, files, topology, tmp_path):
    cut = tmp_path / f"cut.{name}"
    cut.write_bytes(files[name].read_bytes()[:-50])
    assert "cannot read this file beyond frame" in refusal(cut, topology)


@pytest.mark.parametrize("text", ["", "\n\n", "REMARK nothing\n"])
@pytest.mark.parametrize("name", ["pdb", "cif", "xyz", "gro", "lammpstrj"])
def test_a_text_file_without_frames_is_refused(name, text, topology, tmp_path):
    path = tmp_path / f"empty.{name}"
    path.write_text(text)
    message = refusal(path, topology)
    assert any(word in message for word in ("empty", "holds no frame", "beyond frame 0", "truncated"))


@pytest.mark.parametrize("name", ["nc", "h5"])
def test_a_binary_file_without_frames_is_refused(name, topology, tmp_path):
    path = tmp_path / f"empty.{name}"
    if name == "h5":
        with h5py.File(path, "w") as file:
            file["coordinates"] = np.zeros((0, 22, 3), np.float32)
    else:
        from scipy.io import netcdf_file

        with netcdf_file(path, "w", version=2) as file:
            file.createDimension("frame", None)
            file.createDimension("atom", 22)
            file.createDimension("spatial", 3)
            file.createVariable("coordinates", "f", ("frame", "atom", "spatial"))
    assert "holds no frame" in refusal(path, topology)


def test_hdf5_in_other_units_is_refused(topology, tmp_path):
    path = tmp_path / "run.h5"
    with h5py.File(path, "w") as file:
        file["coordinates"] = np.zeros((1, 22, 3), np.float32)
        file["coordinates"].attrs["units"] = "angstroms"
    assert "not in nanometers" in refusal(path, topology)


def test_hdf5_as_mdtraj_writes_it(molecule, topology, tmp_path):
    pytest.importorskip("tables", reason="MDTraj writes HDF5 with PyTables, which nothing else needs")
    molecule.save(str(tmp_path / "run.h5"))
    np.testing.assert_array_equal(all_frames(tmp_path / "run.h5", topology), molecule.xyz)


def test_an_unknown_ending_is_refused(molecule, topology, tmp_path):
    (tmp_path / "run.mdcrd").write_text("1 2 3\n")
    assert "the ending '.mdcrd' is none of .xtc, .trr" in refusal(tmp_path / "run.mdcrd", topology)


def lammps(columns, rows, *, box="0 30\n0 28\n0 26", header="BOX BOUNDS pp pp pp", units=""):
    atoms = "".join(" ".join(map(str, row)) + "\n" for row in rows)
    head = f"{units}ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n{len(rows)}\n"
    return f"{head}ITEM: {header}\n{box}\nITEM: ATOMS {columns}\n{atoms}"


@pytest.mark.parametrize(
    ("columns", "rows"),
    [
        ("id type x y z", [(2, 1, 15, 14, 13), (1, 1, 3, 2.8, 2.6)]),
        ("id type xs ys zs", [(2, 1, 0.5, 0.5, 0.5), (1, 1, 0.1, 0.1, 0.1)]),
        ("id type xsu ysu zsu", [(7, 1, 0.1, 0.1, 0.1), (9, 1, 0.5, 0.5, 0.5)]),
        ("id x y z xu yu zu", [(1, 0, 0, 0, 3, 2.8, 2.6), (2, 0, 0, 0, 15, 14, 13)]),
    ],
)
def test_lammps_coordinates_of_every_style_are_lengths_in_the_order_of_ids(columns, rows, tmp_path):
    path = tmp_path / "run.lammpstrj"
    path.write_text(lammps(columns, rows, units="ITEM: UNITS\nreal\n"))
    (frame,) = text_frames(str(path), first=0, stride=1)
    np.testing.assert_allclose(frame.positions_nm, [[0.3, 0.28, 0.26], [1.5, 1.4, 1.3]], atol=1e-9)
    np.testing.assert_allclose(frame.cell_nm, np.diag([3.0, 2.8, 2.6]))


def test_scaled_lammps_coordinates_follow_the_tilt_and_the_origin(tmp_path):
    path = tmp_path / "run.lammpstrj"
    # The bounds of x include xy = 10 and xz = -5.
    text = lammps(
        "id xs ys zs", [(1, 0.5, 0.5, 0.5)], box="-4 41 10\n2 30 -5\n0 26 0", header="BOX BOUNDS xy xz yz pp pp pp"
    )
    path.write_text(text)
    (frame,) = text_frames(str(path), first=0, stride=1)
    cell = np.array([[3.0, 0, 0], [1.0, 2.8, 0], [-0.5, 0, 2.6]])
    np.testing.assert_allclose(frame.cell_nm, cell, atol=1e-9)
    np.testing.assert_allclose(frame.positions_nm, [cell.sum(axis=0) / 2 + [0.1, 0.2, 0]], atol=1e-9)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (lammps("id x y z", [(1, 0, 0, 0)], units="ITEM: UNITS\nlj\n"), "units lj"),
        (lammps("type x y z", [(1, 0, 0, 0)]), "lack id or coordinates"),
        (lammps("id x y", [(1, 0, 0)]), "lack id or coordinates"),
        (lammps("id x y z", [(1, 0, 0, 0), (1, 0, 0, 0)]), "two atoms of one id"),
    ],
)
def test_lammps_dumps_that_cannot_be_understood_are_refused(text, reason, topology, tmp_path):
    (tmp_path / "run.lammpstrj").write_text(text)
    assert reason in refusal(tmp_path / "run.lammpstrj", topology)


def test_pdb_frames_may_end_with_end_only_and_have_boxes_of_their_own(files, molecule, topology, tmp_path):
    atoms = [line for line in files["pdb"].read_text().splitlines(keepends=True) if line.startswith(("ATOM", "HETATM"))]
    frames = [atoms[22 * i : 22 * (i + 1)] for i in range(3)]
    box = "CRYST1{:9.3f}   30.000   30.000  90.00  90.00  90.00 P 1           1\n"
    path = tmp_path / "run.pdb"
    path.write_text("".join(box.format(30 + i) + "".join(frame) + "END\n" for i, frame in enumerate(frames)))
    (piece,) = iterate_frames(str(path), topology, np.arange(22))
    np.testing.assert_allclose(piece.positions_nm, molecule.xyz[:3], atol=1e-3)
    np.testing.assert_allclose(piece.cell_nm[:, 0, 0], [3.0, 3.1, 3.2], rtol=1e-6)


@pytest.mark.parametrize("file", ["1l2y.pdb.gz", "4ake.cif", "2f4k.pdb"])
@pytest.mark.filterwarnings("ignore:Unlikely unit cell vectors", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_deposited_structures_are_read_as_mdtraj_reads_them(file, repository):
    path = repository / "data/structures" / file
    if not path.exists():
        pytest.skip(f"data/structures/{file} is not here")
    expected, frames = mdtraj.load(str(path)), list(text_frames(str(path), first=0, stride=1))
    np.testing.assert_allclose(np.stack([frame.positions_nm for frame in frames]), expected.xyz, atol=1e-6)


def test_a_last_line_without_its_end_is_cut(tmp_path):
    (tmp_path / "a.xyz").write_text("1\n\nC 0 0 1.2")
    with pytest.raises(CutError):
        list(lines_of(str(tmp_path / "a.xyz")))


@pytest.mark.parametrize("name", ["pdb", "cif", "gro"])
def test_a_topology_of_any_format_goes_with_a_trajectory_of_another(name, files, molecule):
    atoms = load_topology(str(files[name]))
    pieces = iterate_frames(str(files["xtc"]), atoms, atoms.select("name CA C N"))
    positions = np.concatenate([piece.positions_nm for piece in pieces])
    np.testing.assert_allclose(positions, molecule.xyz[:, molecule.topology.select("name CA C N")], atol=1e-3)
