# What the rules of sweeps read and are told.


def sweep_point(wildcards):
    """The point in the path: its settings, and the encoder of its tokens."""
    sweep = SWEEPS[wildcards.sweep]
    if sweep.system != wildcards.system:
        raise WorkflowError(f"{SWEEP_FILES[wildcards.sweep]}: this sweep is of {sweep.system}, not {wildcards.system}")
    return sweep.points[wildcards.point]


def point_settings(wildcards):
    """The complete settings of the model at this point."""
    return sweep_point(wildcards).settings


def point_stores(wildcards):
    """What the model at this point reads of every trajectory: its features, or the tokens of its encoder."""
    point = sweep_point(wildcards)
    feature = point.settings.get("feature", "tokens")
    folder = f"tokens/{point.encoder}" if feature == "tokens" else f"features/{feature}"
    return per_trajectory(f"<results>/{{system}}/{folder}/{{trajectory}}.zarr.zip")(wildcards)


def point_initial_model(wildcards):
    """Name of the system's model whose clusters are the first states of the SPIB at this point."""
    return sweep_point(wildcards).settings["initial_labels"]


def point_initial_weights(wildcards):
    """The member of that model of the same fold; gaps, which are as long as the longest lag, may differ in a sweep."""
    name = point_initial_model(wildcards)
    seed = wildcards.seed if SYSTEMS[wildcards.system]["models"][name]["kind"] in NETWORKS else 0
    return f"<results>/{wildcards.system}/models/{name}/fold{wildcards.fold}-seed{seed}/weights.safetensors"


def point_initial_stores(wildcards):
    """What that model reads of every trajectory."""
    return [
        stored_input(wildcards.system, point_initial_model(wildcards), name) for name in TRAJECTORIES[wildcards.system]
    ]


def sweep_split_settings(wildcards):
    """How frames are divided, as for the system, but with gaps as long as the longest lag of the sweep."""
    told = split_settings(wildcards)
    return told | {"settings": told["settings"] | {"gap_ps": SWEEPS[wildcards.sweep].longest_lag_ps}}


def sweep_members(pattern):
    """Input function: the pattern for every member of a sweep, in the order of the table's rows."""

    def paths(wildcards):
        sweep = SWEEPS[wildcards.sweep]
        return [pattern.format(system=sweep.system, sweep=wildcards.sweep, **member) for member in sweep.members()]

    return paths


def sweep_rows(wildcards):
    """Values of the axes, fold and seed of every member of a sweep."""
    return SWEEPS[wildcards.sweep].rows()


def shown_axes(wildcards):
    """The axes along x and, if there is a second one, of the series."""
    figure = SWEEPS[wildcards.sweep].figure
    return [figure[key] for key in ("x", "series") if figure[key] is not None]


def sweep_figures(wildcards):
    """The figure of every sweep that config.yaml names."""
    if not SWEEPS:
        raise WorkflowError("config/config.yaml: sweeps is empty; name files of config/sweeps/ there, without .yaml")
    return [
        f"<results>/{sweep.system}/sweeps/{name}/sweep_{sweep.figure['kind']}.pdf" for name, sweep in SWEEPS.items()
    ]
