# What single rules read and are told; what several share is in common.smk.


def trajectory_file(wildcards):
    """The raw trajectory: simulated here, or the user's file."""
    simulated = f"<results>/{wildcards.system}/simulation/{wildcards.trajectory}.xtc"
    return TRAJECTORIES[wildcards.system].get(wildcards.trajectory) or simulated


def simulation_settings(wildcards):
    """The simulate section together with the temperature, which free energies need too."""
    trajectories = SYSTEMS[wildcards.system]["trajectories"]
    return trajectories["simulate"] | {"temperature_K": trajectories["temperature_K"]}


def run_number(wildcards):
    """The number in a simulated trajectory's name."""
    return int(wildcards.trajectory.removeprefix("run-"))


def topology_file(wildcards):
    """The file that names the atoms."""
    trajectories = SYSTEMS[wildcards.system]["trajectories"]
    return trajectories["topology"] if "topology" in trajectories else trajectories["simulate"]["structure"]


def system_longest_lag_ps(wildcards):
    """The longest lag anywhere in the system's config."""
    return longest_lag_ps(SYSTEMS[wildcards.system])


def inspection_settings(wildcards):
    """What a trajectory is checked against."""
    system = SYSTEMS[wildcards.system]
    keys = ("selection", "frame_interval_ps", "stride", "make_whole")
    return {key: system["trajectories"][key] for key in keys}


def log_weight_file(wildcards):
    """The user's log-weights of one trajectory."""
    return SYSTEMS[wildcards.system]["trajectories"]["log_weights"].replace("{trajectory}", wildcards.trajectory)


def state_structures():
    """One structure per macrostate of every system's model."""
    return [
        f"<results>/{name}/msm/{system['msm']['model']}/structures/state-{state}.pdb"
        for name, system in SYSTEMS.items()
        if name in SELECTED["systems"]
        for state in range(1, system["msm"]["n_macrostates"] + 1)
    ]
