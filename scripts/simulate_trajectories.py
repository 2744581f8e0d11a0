"""Simulate one independent run of the system described by `trajectories.simulate`."""

from geom2msm.log import log_to
from geom2msm.simulation import SimulationSettings, simulate


def main(structure: str, trajectory: str, *, run: int, settings: dict, frame_interval_ps: float) -> None:
    """Simulate run number `run` from the structure and write it as XTC."""
    simulation = SimulationSettings(**{**settings, "structure": structure})
    simulate(simulation, run=run, frame_interval_ps=frame_interval_ps, output=trajectory)


if __name__ == "__main__":
    log_to(snakemake.log[0])
    main(
        **snakemake.input,
        **snakemake.output,
        run=snakemake.params.run,
        settings=snakemake.params.settings,
        frame_interval_ps=snakemake.params.frame_interval_ps,
    )
