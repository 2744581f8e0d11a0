# Figures of the papers behind this workflow, as targets by name; config/papers.yaml is the list. A figure whose data is
# not at hand is refused, in one sentence, while common.smk reads what was asked for.

for target, figure in PAPERS.items():

    rule:
        name:
            target
        input:
            paper_figure_files(figure),
        message:
            " ".join([f"{figure['citation']}: {figure['shows']}.", figure.get("differs", "")]).strip()
