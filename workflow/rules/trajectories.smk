rule simulate_trajectories:
    input:
        structure=lookup(dpath="{system}/trajectories/simulate/structure", within=SYSTEMS),
    output:
        trajectory="<results>/{system}/simulation/{trajectory}.xtc",
    log:
        "<logs>/{system}/simulate_trajectories/{trajectory}.log",
    benchmark:
        "<benchmarks>/{system}/simulate_trajectories/{trajectory}.jsonl"
    conda:
        "../../envs/simulate_trajectories.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=duration(240),
    params:
        settings=simulation_settings,
        run=run_number,
        frame_interval_ps=lookup(dpath="{system}/trajectories/frame_interval_ps", within=SYSTEMS),
        source=source_digest("simulate_trajectories"),
    script:
        "../../scripts/simulate_trajectories.py"


rule inspect_trajectory:
    input:
        file=trajectory_file,
        topology=topology_file,
    output:
        inventory="<results>/{system}/trajectories/{trajectory}.json",
    log:
        "<logs>/{system}/inspect_trajectory/{trajectory}.log",
    conda:
        "../../envs/inspect_trajectory.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=duration(60),
    params:
        settings=inspection_settings,
        source=source_digest("inspect_trajectory"),
    script:
        "../../scripts/inspect_trajectory.py"


# Apart from the inspection, so that a longer scan of lags embeds nothing anew.
rule check_lags:
    input:
        inventories=per_trajectory("<results>/{system}/trajectories/{trajectory}.json"),
    output:
        lags="<results>/{system}/lags.json",
    log:
        "<logs>/{system}/check_lags.log",
    priority: 10
    conda:
        "../../envs/check_lags.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=duration(10),
    params:
        longest_lag_ps=system_longest_lag_ps,
        continuous=lookup(dpath="{system}/trajectories/continuous", within=SYSTEMS),
        source=source_digest("check_lags"),
    script:
        "../../scripts/check_lags.py"


rule build_token_table:
    input:
        topology=topology_file,
    output:
        tokens="<results>/{system}/tokens.csv",
    log:
        "<logs>/{system}/build_token_table.log",
    conda:
        "../../envs/build_token_table.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=duration(30),
    params:
        selection=lookup(dpath="{system}/trajectories/selection", within=SYSTEMS),
        rules=lookup(dpath="{system}/tokens/rules", within=SYSTEMS),
        source=source_digest("build_token_table"),
    script:
        "../../scripts/build_token_table.py"


rule compute_torsions:
    input:
        file=trajectory_file,
        topology=topology_file,
        inventory="<results>/{system}/trajectories/{trajectory}.json",
    output:
        features="<results>/{system}/features/torsions/{trajectory}.zarr.zip",
    log:
        "<logs>/{system}/compute_torsions/{trajectory}.log",
    conda:
        "../../envs/compute_torsions.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=duration(60),
    params:
        source=source_digest("compute_torsions"),
    script:
        "../../scripts/compute_torsions.py"


rule compute_distances:
    input:
        file=trajectory_file,
        topology=topology_file,
        inventory="<results>/{system}/trajectories/{trajectory}.json",
    output:
        features=ensure("<results>/{system}/features/{feature}/{trajectory}.zarr.zip", non_empty=True),
    log:
        "<logs>/{system}/compute_distances/{feature}/{trajectory}.log",
    wildcard_constraints:
        feature="calpha_distances|residue_distances|heavy_atom_distances",
    conda:
        "../../envs/compute_distances.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=duration(120),
    params:
        source=source_digest("compute_distances"),
    script:
        "../../scripts/compute_distances.py"


rule read_log_weights:
    input:
        file=log_weight_file,
        inventory="<results>/{system}/trajectories/{trajectory}.json",
    output:
        log_weights="<results>/{system}/log_weights/{trajectory}.zarr.zip",
    log:
        "<logs>/{system}/read_log_weights/{trajectory}.log",
    conda:
        "../../envs/read_log_weights.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=duration(10),
    params:
        source=source_digest("read_log_weights"),
    script:
        "../../scripts/read_log_weights.py"
