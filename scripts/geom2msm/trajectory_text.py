"""Trajectories in text files, one frame in memory at a time: models of PDB and mmCIF, GRO, XYZ, LAMMPS dumps.

MDTraj reads these formats whole, drops a last frame that is cut short, and takes scaled LAMMPS
coordinates for lengths. A file is cut into the lines of its frames first; only frames that are asked
for are parsed.
"""

import gzip
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from io import StringIO
from itertools import islice

import numpy as np
from jaxtyping import Float
from mdtraj.formats.pdb.pdbstructure import PdbStructure
from mdtraj.utils.unitcell import lengths_and_angles_to_box_vectors

from geom2msm.formats import extension
from geom2msm.units import NM_PER_ANGSTROM

CIF_VALUE = re.compile(r"""'.*?'(?=\s|$)|".*?"(?=\s|$)|\S+""")


class CutError(ValueError):
    """The file ends in the middle of a frame."""

    def __init__(self) -> None:
        super().__init__("the file ends in the middle of a frame")


@dataclass(frozen=True)
class TextFrame:
    """One frame with all its atoms; the rows of the cell are its vectors."""

    positions_nm: Float[np.ndarray, "atom 3"]
    cell_nm: Float[np.ndarray, "3 3"] | None


def text_frames(path: str, *, first: int, stride: int) -> Iterator[TextFrame]:
    """Every stride-th frame from `first` on; a file that ends within a frame raises CutError after the whole ones."""
    blocks, parse = READERS[extension(path).removesuffix(".gz")]
    with closing(lines_of(path)) as lines:
        for index, block in enumerate(blocks(lines)):
            if index >= first and (index - first) % stride == 0:
                yield parse(block)


def lines_of(path: str) -> Iterator[str]:
    """Lines of a text file, zipped or not; the last one must be whole."""
    with gzip.open(path, "rt") if path.lower().endswith(".gz") else open(path) as file:
        for line in file:
            if not line.endswith("\n") and line.strip() not in ("", "END", "ENDMDL", "#"):
                raise CutError
            yield line


def counted(lines: Iterator[str], n_lines: int) -> list[str]:
    """The next lines, all of them there."""
    found = list(islice(lines, n_lines))
    if len(found) < n_lines:
        raise CutError
    return found


def cell_of(lengths_nm: Sequence[float], angles_deg: Sequence[float]) -> Float[np.ndarray, "3 3"] | None:
    """Cell vectors from lengths and angles; none where a length or an angle is zero."""
    if not np.all(lengths_nm) or not np.all(angles_deg):
        return None
    return np.stack(lengths_and_angles_to_box_vectors(*lengths_nm, *angles_deg))


def xyz_blocks(lines: Iterator[str]) -> Iterator[list[str]]:
    """The atom lines of each frame: number of atoms, comment, atoms."""
    for line in lines:
        if line.strip():
            yield counted(lines, int(line) + 1)[1:]


def parse_xyz(block: list[str]) -> TextFrame:
    positions = np.array([line.split()[1:4] for line in block], dtype=np.float64)
    return TextFrame(positions.reshape(-1, 3) * NM_PER_ANGSTROM, cell_nm=None)


def gro_blocks(lines: Iterator[str]) -> Iterator[list[str]]:
    """The atom lines and the box line of each frame: title, number of atoms, atoms, box."""
    for title in lines:
        n_atoms = next(lines, None)
        if n_atoms is not None:
            yield counted(lines, int(n_atoms) + 1)
        elif title.strip():
            raise CutError


def parse_gro(block: list[str]) -> TextFrame:
    """Columns are as wide as the distance of two decimal points; the box is xx yy zz xy xz yx yz zx zy."""
    atoms, box = block[:-1], [float(value) for value in block[-1].split()]
    if len(box) not in (3, 9):
        raise ValueError(f"a box line of {len(box)} numbers")
    points = [place for place, letter in enumerate(atoms[0]) if letter == "." and place >= 20] if atoms else [0, 0]
    width = points[1] - points[0]
    positions = [[line[20 + i * width : 20 + (i + 1) * width] for i in range(3)] for line in atoms]
    box = np.array(box + [0.0] * (9 - len(box)))
    cell = box[[0, 3, 4, 5, 1, 6, 7, 8, 2]].reshape(3, 3)
    return TextFrame(np.array(positions, dtype=np.float64).reshape(-1, 3), cell_nm=cell if cell.any() else None)


def pdb_blocks(lines: Iterator[str]) -> Iterator[list[str]]:
    """The lines of each model, up to ENDMDL, or to END where there are no models; a box holds until the next one."""
    block: list[str] = []
    box: list[str] = []
    in_model = has_atoms = False
    for line in lines:
        record = line[:6].strip()
        box = [line] if record == "CRYST1" else box
        block.append(line)
        in_model = record == "MODEL" or (in_model and record != "ENDMDL")
        has_atoms = has_atoms or record in ("ATOM", "HETATM")
        if has_atoms and (record == "ENDMDL" or (record == "END" and not in_model)):
            yield box + block
            block, has_atoms = [], False
    if in_model:
        raise CutError
    if has_atoms:
        yield box + block


def parse_pdb(block: list[str]) -> TextFrame:
    """Through MDTraj's parser, so that alternate locations count as they do in its topologies."""
    structure = PdbStructure(StringIO("".join(block)), load_all_models=False)
    positions = [
        atom.get_position() for chain in structure.iter_chains() for residue in chain for atom in residue.atoms
    ]
    lengths, angles = structure.get_unit_cell_lengths(), structure.get_unit_cell_angles()
    cell = None if lengths is None else cell_of([NM_PER_ANGSTROM * length for length in lengths], angles)
    return TextFrame(np.array(positions).reshape(-1, 3) * NM_PER_ANGSTROM, cell)


@dataclass(frozen=True)
class CifModel:
    """Rows of one model in an mmCIF file's atom_site table, and the cell of the file."""

    columns: list[str]
    rows: list[list[str]]
    cell: dict[str, str]


def cif_blocks(lines: Iterator[str]) -> Iterator[CifModel]:
    """The rows of each model; the table of atoms is expected with one row per line, as all programs write it."""
    columns, cell = [], {}
    rows: list[list[str]] = []
    for line in lines:
        if line.startswith("_cell."):
            cell |= {line.split()[0]: line.split()[-1]}
        elif line.startswith("_atom_site."):
            columns.append(line.split()[0].removeprefix("_atom_site."))
        elif columns and line.startswith(("_", "loop_", "data_")):
            break
        elif columns and line.strip() and not line.startswith("#"):
            values = CIF_VALUE.findall(line) if "'" in line or '"' in line else line.split()
            if len(values) != len(columns):
                raise CutError
            if rows and model_number(columns, rows[-1]) != model_number(columns, values):
                yield CifModel(columns, rows, cell)
                rows = []
            rows.append(values)
    if rows:
        yield CifModel(columns, rows, cell)


def model_number(columns: list[str], row: list[str]) -> str:
    return row[columns.index("pdbx_PDB_model_num")] if "pdbx_PDB_model_num" in columns else "1"


def parse_cif(model: CifModel) -> TextFrame:
    """The first of alternate locations, as in MDTraj's topologies."""
    names = ("auth_seq_id", "auth_asym_id", "label_seq_id", "label_asym_id", "auth_atom_id", "label_atom_id")
    identity = [model.columns.index(name) for name in names if name in model.columns]
    places = [model.columns.index(f"Cartn_{axis}") for axis in "xyz"]
    alternate = model.columns.index("label_alt_id") if "label_alt_id" in model.columns else None
    positions, seen = [], set()
    for row in model.rows:
        atom = tuple(row[i] for i in identity)
        if alternate is None or row[alternate] == "." or atom not in seen:
            positions.append([row[i] for i in places])
        seen.add(atom)
    keys = [f"_cell.{key}" for key in ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")]
    values = [model.cell.get(key, "?") for key in keys]
    numbers = [0.0 if value in ("?", ".") else float(value) for value in values]
    cell = cell_of([NM_PER_ANGSTROM * length for length in numbers[:3]], numbers[3:])
    return TextFrame(np.array(positions, dtype=np.float64).reshape(-1, 3) * NM_PER_ANGSTROM, cell)


def lammps_blocks(lines: Iterator[str]) -> Iterator[dict[str, list[str]]]:
    """The sections of each frame: what stands after `ITEM: ` -> its lines."""
    sections: dict[str, list[str]] = {}
    for line in lines:
        if line.startswith("ITEM: "):
            sections[line.removeprefix("ITEM: ").strip()] = current = []
        elif sections:
            current.append(line)
        elif line.strip():
            raise ValueError("no ITEM at its beginning")
        if line.startswith("ITEM: ATOMS"):
            n_atoms = sections.get("NUMBER OF ATOMS") or ["0"]
            current += counted(lines, int(n_atoms[0]))
            yield sections
            sections = {}
    if sections:
        raise CutError


def parse_lammps(sections: dict[str, list[str]]) -> TextFrame:
    """Atoms in the order of their ids; unwrapped coordinates if there are any, scaled ones times the box."""
    units = "".join(sections.get("UNITS", ["real"])).strip()
    if units not in ("real", "metal"):
        raise ValueError(f"units {units}; only real and metal, which have lengths in Angstrom, are known")
    header = next(key for key in sections if key.startswith("ATOMS"))
    columns, table = header.split()[1:], np.array([line.split() for line in sections[header]])
    styles = [style for style in ("{}u", "{}", "{}su", "{}s") if {style.format(axis) for axis in "xyz"} <= {*columns}]
    if not styles or "id" not in columns:
        raise ValueError("its ATOMS lack id or coordinates (x y z, xu yu zu, xs ys zs or xsu ysu zsu)")
    ids = table[:, columns.index("id")].astype(np.int64)
    if len(np.unique(ids)) < len(ids):
        raise ValueError("two atoms of one id")
    places = [columns.index(styles[0].format(axis)) for axis in "xyz"]
    positions = table[np.argsort(ids)][:, places].astype(np.float64)
    cell, origin = lammps_cell(sections)
    if "s" in styles[0]:
        positions = positions @ cell + origin
    return TextFrame(positions * NM_PER_ANGSTROM, cell * NM_PER_ANGSTROM)


def lammps_cell(sections: dict[str, list[str]]) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, " 3"]]:
    """Cell vectors and origin in Angstrom; the bounds of a tilted box include its tilt.

    LAMMPS manual, Howto triclinic.
    """
    key = next(key for key in sections if key.startswith("BOX BOUNDS"))
    if "abc" in key:
        raise ValueError("a general triclinic box; only restricted ones (xy xz yz) are known")
    bounds = np.array([line.split()[:3] for line in sections[key]], dtype=np.float64)
    xy, xz, yz = bounds[:, 2] if bounds.shape[1] == 3 else (0.0, 0.0, 0.0)
    low = bounds[:, 0] - [min(0, xy, xz, xy + xz), min(0, yz), 0]
    high = bounds[:, 1] - [max(0, xy, xz, xy + xz), max(0, yz), 0]
    (x, y, z) = high - low
    return np.array([[x, 0, 0], [xy, y, 0], [xz, yz, z]]), low


READERS: dict[str, tuple[Callable, Callable]] = {
    ".pdb": (pdb_blocks, parse_pdb),
    ".cif": (cif_blocks, parse_cif),
    ".mmcif": (cif_blocks, parse_cif),
    ".pdbx": (cif_blocks, parse_cif),
    ".gro": (gro_blocks, parse_gro),
    ".xyz": (xyz_blocks, parse_xyz),
    ".lammpstrj": (lammps_blocks, parse_lammps),
}
