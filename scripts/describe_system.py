"""One system's part of the report page: verdicts, numbers, figures and where everything comes from."""

from pathlib import Path

import matplotlib.style
import pandas as pd
import yaml

from geom2msm import report_tables as page_tables
from geom2msm.judgement import read_json
from geom2msm.log import log_to
from geom2msm.provenance import replace_when_complete
from geom2msm.report_figures import attachment, grouped, read_figures
from geom2msm.report_page import fill_template


def main(
    verdicts: str, summary: str, states: str, rates: str, annotation: str, encoder_check: str, inventories: list[str],
    structures: list[str], images: list[str], drawings: list[str], tables: list[str], captions: list[str],
    template: str, style: str, section: str, *, figures: list[str], models: list[str], settings: dict, name: str,
) -> None:  # fmt: skip
    """Read what the system's rules wrote and fill in the template; `models` are the model and the baseline."""
    matplotlib.style.use(["default", style])
    judged, model, check = read_json(verdicts), read_json(summary), read_json(encoder_check)
    trajectories = [read_json(path) for path in inventories]
    wildcards = {"system": name, "encoder": settings["encoder"], "model": models[0]}
    params = settings["msm"] | settings["trajectories"] | {"name": models[0], "names": models}
    shown = read_figures(figures, images, drawings, tables, captions, system=name, wildcards=wildcards, params=params)
    # The last files are those of states that were asked for but not found.
    found = structures[: model["n_macrostates"]]
    content = judged | page_tables.numbers(model, pd.read_csv(states), pd.read_csv(rates))
    content |= page_tables.sources(trajectories, check, artefacts=[judged, model, check, *trajectories])
    content |= {
        "verdicts": judged["rows"],
        "overall": judged["verdict"],
        "baseline": models[1],
        "annotation": page_tables.annotation_rows(pd.read_csv(annotation)),
        "key_figures": page_tables.key_figures(model, trajectories),
        "structures": [attachment(path, label="PDB", name=f"{name}-{Path(path).name}") for path in found],
        "figure_groups": grouped(shown),
        "shown": figures,
        "seeds": page_tables.seeds_in_words(settings),
        "settings": yaml.safe_dump(settings, sort_keys=False, allow_unicode=True, width=100),
    }
    with replace_when_complete(section) as part:
        part.write_text(fill_template(Path(template).read_text(encoding="utf-8"), content), encoding="utf-8")


if __name__ == "__main__":
    log_to(snakemake.log[0])
    chosen = {key: snakemake.params[key] for key in ("figures", "models", "settings")}
    main(**snakemake.input, **snakemake.output, **chosen, name=snakemake.wildcards.system)
