# What the rules of structures and observables read and are told.


def reference_file(wildcards):
    """What RMSD and native contacts compare with; the topology unless the config names something."""
    return SYSTEMS[wildcards.system]["observables"]["reference"] or topology_file(wildcards)


def observable_table(wildcards):
    """The user's own observables of the trajectory, if there are any."""
    table = SYSTEMS[wildcards.system]["observables"]["table"]
    return [table.replace("{trajectory}", wildcards.trajectory)] if table else []


def observable_settings(wildcards):
    """Which observables are measured; one job per trajectory asks, and `lookup` takes a millisecond each time."""
    return SYSTEMS[wildcards.system]["observables"]


def importance_table(wildcards):
    """Importance of the tokens for the model, if it is a network on tokens."""
    model = SYSTEMS[wildcards.system]["models"][wildcards.model]
    return ["<results>/{system}/msm/{model}/importance.csv".format(**wildcards)] if reads_tokens(model) else []


def structure_settings(wildcards):
    """How many frames are drawn, and with which seed."""
    system = SYSTEMS[wildcards.system]
    return {"n_frames": system["structures"]["ensemble_frames"], "seed": system["msm"]["seed"]}


def of_states(pattern):
    """Input function: the pattern for every macrostate of the system's model."""

    def paths(wildcards):
        msm = SYSTEMS[wildcards.system]["msm"]
        states = range(1, msm["n_macrostates"] + 1)
        return expand(pattern, system=wildcards.system, model=msm["model"], state=states)

    return paths
