# What the rules of verdicts, of the report page and of the papers' figures read and are told.


def importance_verdict(wildcards):
    """What is known of the importance of tokens, for a network on tokens; nothing for other models."""
    model = SYSTEMS[wildcards.system]["models"][wildcards.model]
    return [f"<results>/{wildcards.system}/msm/{wildcards.model}/importance.json"] if reads_tokens(model) else []


def encoder_verdict(wildcards):
    """The check of the encoder, for a model that uses tokens; nothing for other models."""
    model = SYSTEMS[wildcards.system]["models"][wildcards.model]
    return [encoder_check_file(wildcards)] if model.get("feature", "tokens") == "tokens" else []


def figures_of(wildcards):
    """Every figure that `rule figures` makes of a system and of its encoder, as PDF, by name."""
    wanted = ({wildcards.system, "figures"}, {"encoders", SYSTEMS[wildcards.system]["encoder"]})
    files = [str(file) for file in rules.figures.input]
    return {Path(file).stem: file for file in files if any(folders <= set(Path(file).parts) for folders in wanted)}


def figure_names(wildcards):
    """Names of these figures."""
    return list(figures_of(wildcards))


def figure_files(ending):
    """Input function: the files of these figures with this ending."""
    return lambda wildcards: [file.removesuffix("pdf") + ending for file in figures_of(wildcards).values()]


def figure_captions(wildcards):
    """The templates of their captions."""
    return [own_file(f"workflow/report/{name}.rst") for name in figures_of(wildcards)]


def model_structures(wildcards):
    """One structure per macrostate of the system's model."""
    msm = SYSTEMS[wildcards.system]["msm"]
    folder = f"<results>/{wildcards.system}/msm/{msm['model']}/structures"
    return [f"{folder}/state-{state}.pdb" for state in range(1, msm["n_macrostates"] + 1)]


def settings_of_system(wildcards):
    """Everything that the system's config says, defaults included."""
    return SYSTEMS[wildcards.system]


def paper_figure_files(figure):
    """Input function: the figures of a system and of sweeps that a figure of a paper consists of."""

    def files(wildcards):
        drawn = [f"<results>/{figure['system']}/figures/{name}.pdf" for name in figure["drawn_by"]]
        sweeps = {name: SWEEPS[name] for name in figure["sweeps"]}
        return drawn + [
            f"<results>/{s.system}/sweeps/{name}/sweep_{s.figure['kind']}.pdf" for name, s in sweeps.items()
        ]

    return files
