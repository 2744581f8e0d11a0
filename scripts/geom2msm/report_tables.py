"""The tables of the report page: what a reader quotes, with intervals and units, rounded to three digits."""

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from geom2msm.formats import TIMES_AGREE
from geom2msm.style import short_number, state_color, time_unit

# Trajectories that are named in one sentence.
N_NAMES = 5


def with_interval(value: float, lower: float, upper: float) -> str:
    """A number and its 95 % interval, to the two digits of the interval's width that are known at best."""
    if math.isnan(value):
        return "not estimable"
    if math.isnan(lower) or math.isnan(upper):
        return f"{short_number(value)} (no interval)"
    width = upper - lower
    if not (math.isfinite(value) and math.isfinite(width) and width > 0):
        return f"{short_number(value)} [{short_number(lower)}, {short_number(upper)}]"
    digits = 1 - math.floor(math.log10(width))
    return "{} [{}, {}]".format(*(f"{round(each, digits):,.{max(0, digits)}f}" for each in (value, lower, upper)))


def timescale_rows(summary: Mapping) -> tuple[str, list[dict[str, str]]]:
    """Unit and implied timescales; t2 is the slowest process, for the first eigenvalue belongs to equilibrium."""
    found = [row for row in summary["timescales"] if row["estimate_ps"] is not None]
    unit, unit_ps = time_unit([row["estimate_ps"] for row in found])
    rows = []
    for row in found:
        values = [_number(row[f"{name}_ps"]) / unit_ps for name in ("estimate", "lower", "upper")]
        rows.append({"name": f"t{row['process'] + 1}", "value": with_interval(*values)})
    return unit, rows


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def state_rows(states: pd.DataFrame) -> list[dict[str, object]]:
    """Populations, free energies and visits of the macrostates; the style must be in use, for the colors."""
    return [
        {
            "state": int(row.state),
            "color": state_color(int(row.state)),
            "population": with_interval(
                *(100 * value for value in (row.probability, row.probability_lower, row.probability_upper))
            ),
            "free_energy": _free_energy(row.free_energy_kT, row.free_energy_kT_lower, row.free_energy_kT_upper),
            "entries": int(row.entries),
            "exits": int(row.exits),
            "n_trajectories": int(row.n_trajectories),
        }
        for row in states.itertuples()
    ]


def _free_energy(value: float, lower: float, upper: float) -> str:
    """Above the most probable state, which has none and no interval by definition."""
    return "0" if value == lower == upper == 0 else with_interval(value, lower, upper)


def passage_matrix(rates: pd.DataFrame) -> tuple[str, list[list[str]]]:
    """Unit and mean first passage times, one row per starting state, with empty cells on the diagonal."""
    unit, unit_ps = time_unit(rates.mfpt_ps)
    n_states = int(rates[["from_state", "to_state"]].to_numpy().max())
    matrix = [[""] * n_states for _ in range(n_states)]
    for row in rates.itertuples():
        times = (row.mfpt_ps / unit_ps, row.mfpt_lower_ps / unit_ps, row.mfpt_upper_ps / unit_ps)
        matrix[row.from_state - 1][row.to_state - 1] = with_interval(*times)
    return unit, matrix


def annotation_rows(annotation: pd.DataFrame) -> list[dict[str, object]]:
    """One row per observable, with its mean in every state; `annotation` has state, observable, unit and mean."""
    return [
        {
            "name": str(name).replace("_", " "),
            "unit": "" if unit == "1" else unit,
            "cells": [with_interval(row.mean, row.mean_lower, row.mean_upper) for row in part.itertuples()],
        }
        for (name, unit), part in annotation.astype({"unit": str}).groupby(["observable", "unit"], sort=False)
    ]


def trajectory_rows(inventories: Sequence[Mapping]) -> list[dict[str, object]]:
    """Frames, length and checksum of every trajectory file."""
    return [
        {
            "name": found["trajectory"],
            "file": found["file"],
            "n_frames": f"{found['n_frames']:,}",
            "duration_ns": short_number(found["duration_ns"]),
            "sha256": found["sha256"],
        }
        for found in inventories
    ]


def times_in_words(inventories: Sequence[Mapping]) -> str:
    """What the times in the files say about the configured interval, and where the config alone is believed."""
    found: dict[str, list[str]] = {}
    for inventory in inventories:
        found.setdefault(inventory["checks"]["times"], []).append(inventory["trajectory"])
    words = []
    for times, names in found.items():
        some = ", ".join(names[:N_NAMES]) + ", …" * (len(names) > N_NAMES)
        words.append(times + ("" if len(found) == 1 else f" ({len(names)} of {len(inventories)} files: {some})"))
    if set(found) != {TIMES_AGREE}:
        words.append("where they do not agree, the config alone counts")
    return "; ".join(words)


def numbers(summary: Mapping, states: pd.DataFrame, rates: pd.DataFrame) -> dict[str, object]:
    """States, timescales and passage times, as the template names them."""
    timescale_unit, timescales = timescale_rows(summary)
    passage_unit, passage_times = passage_matrix(rates) if len(rates) else ("", [])
    found = {"states": state_rows(states), "timescales": timescales, "timescale_unit": timescale_unit}
    return found | {"passage_times": passage_times, "passage_unit": passage_unit}


def sources(
    inventories: Sequence[Mapping], encoder_check: Mapping, *, artefacts: Sequence[Mapping]
) -> dict[str, object]:
    """Topology, trajectories, encoder and versions, as the template names them."""
    keys = ("selection", "frame_interval_ps")
    topology = {key: inventories[0][key] for key in keys}
    topology |= {"file": inventories[0]["topology"], "sha256": inventories[0]["topology_sha256"]}
    encoder = {
        "name": encoder_check["encoder"],
        "r2": f"{encoder_check['r2']:.2f} ± {encoder_check['standard_error']:.2f}",
        "sha256": encoder_check["provenance"]["inputs"]["weights"],
    }
    found = {"topology": topology, "trajectories": trajectory_rows(inventories), "encoder": encoder}
    return found | {"frame_times": times_in_words(inventories), "versions": versions(artefacts)}


def seeds_in_words(settings: Mapping) -> str:
    """All seeds that the system's results depend on."""
    split, simulate = settings["split"], settings["trajectories"].get("simulate")
    words = [f"networks {', '.join(map(str, split['seeds']))}", f"Markov state model {settings['msm']['seed']}"]
    words += [f"simulations {simulate['seed']}"] if simulate else []
    return "; ".join(words)


def key_figures(summary: Mapping, inventories: Sequence[Mapping]) -> dict[str, str]:
    """The model in a few numbers, for the head of its section."""
    unit, unit_ps = time_unit([summary["lag_ps"]])
    n_states, n_asked = summary["n_macrostates"], summary["n_macrostates_asked"]
    first = inventories[0]
    return {
        "macrostates": f"{n_states}" + (f" ({n_asked} asked for)" if n_asked > n_states else ""),
        "lag time": f"{short_number(summary['lag_ps'] / unit_ps)} {unit}",
        "trajectories": f"{len(inventories)}",
        "sampling": f"{short_number(sum(found['duration_ns'] for found in inventories))} ns",
        "frames": f"{summary['n_frames']:,}",
        "temperature": f"{summary['temperature_K']:g} K",
        "atoms embedded": f"{first['n_selected_atoms']:,} of {first['n_atoms']:,}",
    }


def versions(artefacts: Sequence[Mapping]) -> dict[str, str]:
    """Versions of Python and packages that made the artefacts; several, where artefacts are of different ages."""
    found: dict[str, set[str]] = {}
    for artefact in artefacts:
        for name, version in artefact["provenance"]["versions"].items():
            found.setdefault(name, set()).add(version)
    return {name: ", ".join(sorted(seen)) for name, seen in sorted(found.items())}
