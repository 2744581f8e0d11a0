"""Langevin dynamics of a small molecule in implicit solvent, one independent run per call."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openmm
from jaxtyping import Float
from mdtraj.formats import XTCTrajectoryFile
from openmm import app, unit

from geom2msm.log import progress
from geom2msm.provenance import replace_when_complete
from geom2msm.units import frames

FORCE_FIELD = ("amber99sbildn.xml", "amber99_obc.xml")

# Hydrogens of 3 u let the constrained system take 4 fs steps (Hopkins et al., JCTC 11 (2015)
# 1864). Equilibrium averages do not see masses; at 550 K t3 is 6.2 ps with 2 fs and ordinary
# hydrogens and 6.4 ps so.
TIME_STEP_PS = 0.004
HYDROGEN_MASS_U = 3.0

EQUILIBRATION_PS = 20.0
CHUNK_FRAMES = 100


@dataclass(frozen=True)
class SimulationSettings:
    """The `trajectories.simulate` section of a system's config, and `trajectories.temperature_K`."""

    structure: str
    n_runs: int
    run_ns: float
    temperature_K: float
    friction_per_ps: float
    seed: int


def run_seed(settings: SimulationSettings, run: int) -> int:
    """Seed of one run: positive, because OpenMM takes 0 as 'choose one at random'."""
    state = np.random.SeedSequence([settings.seed, run]).generate_state(1)
    return int(state[0] % (2**31 - 1)) + 1


def build_system(structure: str) -> tuple[app.PDBFile, openmm.System]:
    """The structure and its AMBER99SB-ILDN, OBC implicit-solvent system with rigid X-H bonds."""
    if not Path(structure).is_file():
        raise ValueError(
            f"{structure}: there is no such file; trajectories.simulate.structure names the PDB file to start from."
        )
    pdb = app.PDBFile(structure)
    try:
        system = app.ForceField(*FORCE_FIELD).createSystem(
            pdb.topology,
            nonbondedMethod=app.NoCutoff,
            constraints=app.HBonds,
            hydrogenMass=HYDROGEN_MASS_U * unit.dalton,
        )
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"{structure}: the force field {' + '.join(FORCE_FIELD)} cannot describe it ({reason}); "
            "it needs standard residues with all hydrogens and terminal caps."
        ) from None
    return pdb, system


def start(settings: SimulationSettings, *, run: int) -> openmm.Context:
    """A minimized, thermalized and briefly equilibrated copy of the structure.

    The Reference platform is double precision, one thread and deterministic; for some twenty atoms
    it is also the fastest one.
    """
    pdb, system = build_system(settings.structure)
    seed = run_seed(settings, run)
    integrator = openmm.LangevinMiddleIntegrator(settings.temperature_K, settings.friction_per_ps, TIME_STEP_PS)
    integrator.setRandomNumberSeed(seed)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(pdb.positions)
    openmm.LocalEnergyMinimizer.minimize(context)
    context.setVelocitiesToTemperature(settings.temperature_K, seed)
    integrator.step(round(EQUILIBRATION_PS / TIME_STEP_PS))
    return context


def sample(context: openmm.Context, *, n_frames: int, steps_per_frame: int) -> Float[np.ndarray, "frame atom 3"]:
    """Positions (nm) of the next frames; the first one is where the context stands now."""
    positions = []
    for _ in range(n_frames):
        state = context.getState(positions=True)
        positions.append(state.getPositions(asNumpy=True).value_in_unit(unit.nanometer))
        context.getIntegrator().step(steps_per_frame)
    return np.array(positions)


def check_finite(positions_nm: Float[np.ndarray, "frame atom 3"], *, run: int, settings: SimulationSettings) -> None:
    """A simulation that has blown up must not become a trajectory."""
    if not np.isfinite(positions_nm).all():
        raise ValueError(
            f"{settings.structure}: run {run} at trajectories.temperature_K = {settings.temperature_K:g} "
            "has blown up (positions are not finite); lower the temperature or check the structure."
        )


def plan(settings: SimulationSettings, *, frame_interval_ps: float) -> tuple[int, int]:
    """Steps per frame and frames per run, both whole."""
    try:
        steps_per_frame = frames(lag_ps=frame_interval_ps, frame_interval_ps=TIME_STEP_PS)
        n_frames = frames(lag_ps=settings.run_ns * 1000, frame_interval_ps=frame_interval_ps)
    except ValueError:
        raise ValueError(
            f"trajectories.frame_interval_ps = {frame_interval_ps:g} must be a multiple of the time step, "
            f"{TIME_STEP_PS:g} ps, and trajectories.simulate.run_ns = {settings.run_ns:g} one of the frame interval."
        ) from None
    return steps_per_frame, n_frames


def simulate(settings: SimulationSettings, *, run: int, frame_interval_ps: float, output: str) -> None:
    """Write one independent run as XTC: times in ps, the first frame (time 0) after equilibration."""
    steps_per_frame, n_frames = plan(settings, frame_interval_ps=frame_interval_ps)
    logging.info("run %d: seed %d, %d frames, %d steps each", run, run_seed(settings, run), n_frames, steps_per_frame)
    context = start(settings, run=run)
    firsts = range(0, n_frames, CHUNK_FRAMES)
    with replace_when_complete(output) as part, XTCTrajectoryFile(str(part), "w") as xtc:
        for first in progress(firsts, total=len(firsts), description=f"run {run}, chunks of {CHUNK_FRAMES} frames"):
            chunk = np.arange(first, min(first + CHUNK_FRAMES, n_frames))
            positions_nm = sample(context, n_frames=len(chunk), steps_per_frame=steps_per_frame)
            check_finite(positions_nm, run=run, settings=settings)
            xtc.write(
                positions_nm.astype(np.float32),
                time=(chunk * frame_interval_ps).astype(np.float32),
                step=chunk * steps_per_frame,
            )
