"""Implied timescales of every member of a model: each projects, clusters and counts for itself, as the chosen one does.

Most likely timescales only: their spread over folds and seeds is an error that no posterior of one member knows of.
"""

import logging
from collections.abc import Mapping, Sequence
from itertools import islice

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from geom2msm.frame_reader import FrameReader
from geom2msm.joined_store import join_pieces
from geom2msm.markov import MsmSettings, count_transitions, eigenvalues, estimate_model, implied_timescales
from geom2msm.pairs import CHUNK_FRAMES, pieces_before, read_chunks
from geom2msm.projection import Projector
from geom2msm.states import assign_microstates, fit_microstates
from geom2msm.store import read_attributes

# All members together read the tokens as many times as there are members; of large data, beginnings have to do.
MAX_FRAMES = 200_000


def frames_per_source(n_frames: Sequence[int], begins_run: Sequence[bool], *, max_frames: int) -> list[int]:
    """How many frames to take of each trajectory: all, or the same share of each run, from its beginning."""
    share, run = min(1.0, max_frames / sum(n_frames)), np.cumsum(begins_run)
    left = {number: max(1, int(share * np.array(n_frames)[run == number].sum())) for number in np.unique(run)}
    found = []
    for length, number in zip(n_frames, run, strict=True):
        found.append(min(length, left[number]))
        left[number] -= found[-1]
    return found


def project_beginning(source: str, model: Projector, *, n_frames: int) -> Float[np.ndarray, "frame dimension"]:
    """Variables of the first frames of a store, read in chunks."""
    chunks = islice(read_chunks(source, model.names), -(-n_frames // CHUNK_FRAMES))
    return np.concatenate([model.variables(*chunk) for chunk in chunks])[:n_frames]


def member_dtrajs(
    sources: Sequence[str], weights: str, n_frames: Sequence[int], settings: MsmSettings
) -> list[Int[np.ndarray, " _"]]:
    """The microstate of each of these frames, by clusters of this member's own variables or by its own states."""
    model = Projector.read(weights)
    model.check(sources[0])
    variables = [project_beginning(path, model, n_frames=n) for path, n in zip(sources, n_frames, strict=True)]
    if model.state_centers is not None:
        return [model.described(each)["state"] for each in variables]
    centers = fit_microstates(variables, n_microstates=settings.n_microstates, seed=settings.seed)
    return [assign_microstates(each, centers) for each in variables]


def scan_member(
    dtrajs: Sequence[Int[np.ndarray, " _"]], *, lag_frames: Mapping[float, int], n_processes: int
) -> pd.DataFrame:
    """Most likely timescales at every lag (key of `lag_frames`, in ps); NaN where not estimable."""
    n_microstates = max(int(dtraj.max()) for dtraj in dtrajs) + 1
    tables = []
    for lag_ps, n_frames in sorted(lag_frames.items()):
        estimate_ps = np.full(n_processes, np.nan)
        try:
            model = estimate_model(count_transitions(dtrajs, lag_frames=n_frames, n_microstates=n_microstates))
            spectrum = eigenvalues(model.transition_matrix, model.stationary_distribution)
            estimate_ps = implied_timescales(spectrum, lag_ps=lag_ps, n_processes=n_processes)
        except ValueError as error:
            logging.warning("lag %g ps: not estimable: %s", lag_ps, error)
        processes = np.arange(1, n_processes + 1)
        tables.append(pd.DataFrame({"lag_ps": lag_ps, "process": processes, "estimate_ps": estimate_ps}))
    return pd.concat(tables, ignore_index=True)


def scan_members(
    sources: Sequence[str],
    members: Mapping[tuple[int, int], str],
    split: str,
    settings: MsmSettings,
    *,
    lag_frames: Mapping[float, int],
) -> pd.DataFrame:
    """The scans of all members, whose weights are named by fold and seed."""
    available = [len(FrameReader(source, "time_ps")) for source in sources]
    names, before = [read_attributes(source)["trajectory"] for source in sources], pieces_before(split)
    begins_run = [before.get(name, "") != previous for previous, name in zip([None, *names[:-1]], names, strict=True)]
    n_frames = frames_per_source(available, begins_run, max_frames=MAX_FRAMES)
    used = [place for place, n in enumerate(n_frames) if n]
    sources, names, n_frames = ([each[place] for place in used] for each in (sources, names, n_frames))
    continues = [before.get(name) for name in names]
    tables = []
    for (fold, seed), weights in members.items():
        dtrajs = member_dtrajs(sources, weights, n_frames, settings)
        runs = join_pieces(dtrajs, names, continues)
        table = scan_member(runs, lag_frames=lag_frames, n_processes=settings.n_processes)
        tables.append(table.assign(fold=fold, seed=seed, n_frames=sum(n_frames)))
        logging.info("fold %d, seed %d: %d frames of %d", fold, seed, sum(n_frames), sum(available))
    columns = ["fold", "seed", "n_frames", "lag_ps", "process", "estimate_ps"]
    return pd.concat(tables, ignore_index=True)[columns]
