"""A run is set by its seed alone, has the promised frames and times, and the temperature asked for."""

import mdtraj
import numpy as np
import openmm
import pytest
from openmm import app, unit

from geom2msm import simulation as module
from geom2msm.simulation import (
    SimulationSettings,
    build_system,
    check_finite,
    plan,
    run_seed,
    sample,
    simulate,
    start,
)


@pytest.fixture(scope="module")
def structure(repository):
    return str(repository / "resources/structures/alanine_dipeptide.pdb")


@pytest.fixture
def settings(structure, monkeypatch):
    monkeypatch.setattr(module, "EQUILIBRATION_PS", 0.2)
    return SimulationSettings(
        structure=structure, n_runs=2, run_ns=0.002, temperature_K=500.0, friction_per_ps=10.0, seed=7
    )


def simulated(settings, folder, *, run):
    path = folder / f"run-{run}.xtc"
    simulate(settings, run=run, frame_interval_ps=0.1, output=str(path))
    return path


def test_a_run_has_the_promised_frames_and_times(settings, structure, tmp_path):
    trajectory = mdtraj.load(str(simulated(settings, tmp_path, run=0)), top=structure)
    assert trajectory.n_frames == 20
    np.testing.assert_allclose(trajectory.time, 0.1 * np.arange(20), rtol=1e-6)
    assert list(tmp_path.iterdir()) == [tmp_path / "run-0.xtc"]


def test_equal_seeds_give_equal_files_and_runs_differ(settings, tmp_path):
    (tmp_path / "again").mkdir()
    first = simulated(settings, tmp_path, run=0).read_bytes()
    assert simulated(settings, tmp_path / "again", run=0).read_bytes() == first
    assert simulated(settings, tmp_path, run=1).read_bytes() != first


def test_no_two_runs_share_a_seed(structure):
    seeds = {
        run_seed(SimulationSettings(structure, 8, 1.0, 300.0, 1.0, seed), run)
        for seed in range(20)
        for run in range(20)
    }
    assert len(seeds) == 400
    assert min(seeds) > 0  # 0 would be random


def test_chunks_do_not_show(settings, tmp_path, monkeypatch):
    whole = simulated(settings, tmp_path, run=0).read_bytes()
    monkeypatch.setattr(module, "CHUNK_FRAMES", 7)
    assert simulated(settings, tmp_path, run=0).read_bytes() == whole


def test_the_kinetic_energy_is_that_of_the_temperature(settings):
    context = start(settings, run=0)
    context.getIntegrator().step(500)
    kinetic = []
    for _ in range(400):
        context.getIntegrator().step(5)
        kinetic.append(context.getState(energy=True).getKineticEnergy())
    # 66 coordinates less 12 rigid X-H bonds less the drift of the center of mass.
    expected = 0.5 * (66 - 12 - 3) * unit.MOLAR_GAS_CONSTANT_R * 500 * unit.kelvin
    assert np.mean([energy / expected for energy in kinetic]) == pytest.approx(1, abs=0.08)


def test_heavier_hydrogens_leave_the_total_mass_and_the_energy(structure):
    pdb, heavy = build_system(structure)
    light = app.ForceField(*module.FORCE_FIELD).createSystem(pdb.topology, constraints=app.HBonds)
    energies, masses = [], []
    for system in (heavy, light):
        context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatform("Reference"))
        context.setPositions(pdb.positions)
        energies.append(context.getState(energy=True).getPotentialEnergy()._value)
        masses.append(sum(system.getParticleMass(i)._value for i in range(22)))
    assert energies[0] == pytest.approx(energies[1], abs=1e-9)
    assert masses[0] == pytest.approx(masses[1])
    # Atom 0 is a hydrogen: without its 3 u, 4 fs steps are too long.
    assert heavy.getParticleMass(0)._value == 3
    assert light.getParticleMass(0)._value == pytest.approx(1.008, abs=1e-3)


def test_the_start_structure_is_the_minimum_of_the_force_field(structure):
    pdb, system = build_system(structure)
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatform("Reference"))
    context.setPositions(pdb.positions)
    before = context.getState(energy=True).getPotentialEnergy()._value
    openmm.LocalEnergyMinimizer.minimize(context)
    assert before - context.getState(energy=True).getPotentialEnergy()._value < 1  # kJ/mol


def test_the_start_structure_is_l_alanine(structure):
    trajectory = mdtraj.load(structure)
    place = {atom.name: trajectory.xyz[0, atom.index] for atom in trajectory.topology.residue(1).atoms}
    n, c, cb = (place[name] - place["CA"] for name in ("N", "C", "CB"))
    assert np.dot(np.cross(n, c), cb) > 0


def test_the_first_frame_is_where_the_context_stands(settings):
    context = start(settings, run=0)
    here = context.getState(positions=True).getPositions(asNumpy=True)._value
    np.testing.assert_array_equal(sample(context, n_frames=2, steps_per_frame=1)[0], here)


def test_a_simulation_that_blew_up_is_refused(settings):
    positions = np.zeros((3, 22, 3))
    positions[1, 2] = np.nan
    with pytest.raises(ValueError, match=r"alanine_dipeptide\.pdb: run 5 at .*temperature_K = 500 has blown up"):
        check_finite(positions, run=5, settings=settings)


@pytest.mark.parametrize("frame_interval_ps", [0.001, 0.0101, 0.3])
def test_frames_must_fit_into_the_run_and_steps_into_frames(frame_interval_ps, settings):
    with pytest.raises(ValueError, match=r"trajectories\.frame_interval_ps = .* must be a multiple of the time step"):
        plan(settings, frame_interval_ps=frame_interval_ps)


def test_a_structure_without_hydrogens_is_refused(structure, tmp_path):
    trajectory = mdtraj.load(structure)
    path = str(tmp_path / "heavy.pdb")
    trajectory.atom_slice(trajectory.topology.select("not element H")).save(path)
    with pytest.raises(ValueError, match=r"heavy\.pdb: the force field .* cannot describe it"):
        build_system(path)
    with pytest.raises(ValueError, match=r"absent\.pdb: there is no such file"):
        build_system(str(tmp_path / "absent.pdb"))
