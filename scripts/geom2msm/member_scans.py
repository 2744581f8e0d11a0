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


def frames_per_source(n_frames: Sequence[int], *, max_frames: int) -> list[int]:
    """How many frames to take from the beginning of each trajectory: all, or the same share of each."""
    share = min(1.0, max_frames / sum(n_frames))
    return [max(1, int(share * length)) for length in n_frames]


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
    n_frames = frames_per_source(available, max_frames=MAX_FRAMES)
    names = [read_attributes(source)["trajectory"] for source in sources]
    before = pieces_before(split) if n_frames == available else {}
    continues = [before.get(name) for name in names]
    tables = []
    for (fold, seed), weights in members.items():
        dtrajs = member_dtrajs(sources, weights, n_frames, settings)
        runs = join_pieces(dtrajs, names, continues)
        table = scan_member(runs, lag_frames=lag_frames, n_processes=settings.n_timescales)
        tables.append(table.assign(fold=fold, seed=seed, n_frames=sum(n_frames)))
        logging.info("fold %d, seed %d: %d frames of %d", fold, seed, sum(n_frames), sum(available))
    columns = ["fold", "seed", "n_frames", "lag_ps", "process", "estimate_ps"]
    return pd.concat(tables, ignore_index=True)[columns]
