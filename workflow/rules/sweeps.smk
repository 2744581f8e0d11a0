# The members of a sweep are trained by the rules of models, told to read and write elsewhere. A path has the form of
# Snakemake's Paramspace, but is only looked up, never read: Paramspace itself needs pandas beside Snakemake.


wildcard_constraints:
    sweep="|".join(SWEEPS) or "no_sweep",
    point="[^/]+~[^/]+(/[^/]+~[^/]+)*",


use rule split_trajectories as split_trajectories_of_sweep with:
    output:
        split="<results>/{system}/sweeps/{sweep}/split.json",
    log:
        "<logs>/{system}/sweeps/{sweep}/split_trajectories.log",
    params:
        split=sweep_split_settings,


use rule train_vampnet as train_vampnet_of_sweep with:
    input:
        tokens=point_stores,
        split="<results>/{system}/sweeps/{sweep}/split.json",
        log_weights=log_weight_stores,
    output:
        weights="<results>/{system}/sweeps/{sweep}/vampnet/{point}/fold{fold}-seed{seed}/weights.safetensors",
        history="<results>/{system}/sweeps/{sweep}/vampnet/{point}/fold{fold}-seed{seed}/history.csv",
        scores="<results>/{system}/sweeps/{sweep}/vampnet/{point}/fold{fold}-seed{seed}/scores.json",
        costs="<results>/{system}/sweeps/{sweep}/vampnet/{point}/fold{fold}-seed{seed}/costs.json",
    log:
        "<logs>/{system}/sweeps/{sweep}/vampnet/{point}/fold{fold}-seed{seed}.log",
    benchmark:
        "<benchmarks>/{system}/sweeps/{sweep}/vampnet/{point}/fold{fold}-seed{seed}.jsonl"
    params:
        settings=point_settings,


use rule train_spib as train_spib_of_sweep with:
    input:
        tokens=point_stores,
        split="<results>/{system}/sweeps/{sweep}/split.json",
        initial_weights=point_initial_weights,
        initial_stores=point_initial_stores,
        log_weights=log_weight_stores,
    output:
        weights="<results>/{system}/sweeps/{sweep}/spib/{point}/fold{fold}-seed{seed}/weights.safetensors",
        history="<results>/{system}/sweeps/{sweep}/spib/{point}/fold{fold}-seed{seed}/history.csv",
        scores="<results>/{system}/sweeps/{sweep}/spib/{point}/fold{fold}-seed{seed}/scores.json",
        costs="<results>/{system}/sweeps/{sweep}/spib/{point}/fold{fold}-seed{seed}/costs.json",
    log:
        "<logs>/{system}/sweeps/{sweep}/spib/{point}/fold{fold}-seed{seed}.log",
    benchmark:
        "<benchmarks>/{system}/sweeps/{sweep}/spib/{point}/fold{fold}-seed{seed}.jsonl"
    params:
        settings=point_settings,


use rule fit_tica as fit_tica_of_sweep with:
    input:
        features=point_stores,
        split="<results>/{system}/sweeps/{sweep}/split.json",
        log_weights=log_weight_stores,
    output:
        weights="<results>/{system}/sweeps/{sweep}/tica/{point}/fold{fold}-seed{seed}/weights.safetensors",
        history="<results>/{system}/sweeps/{sweep}/tica/{point}/fold{fold}-seed{seed}/history.csv",
        scores="<results>/{system}/sweeps/{sweep}/tica/{point}/fold{fold}-seed{seed}/scores.json",
        costs="<results>/{system}/sweeps/{sweep}/tica/{point}/fold{fold}-seed{seed}/costs.json",
    log:
        "<logs>/{system}/sweeps/{sweep}/tica/{point}/fold{fold}-seed{seed}.log",
    benchmark:
        "<benchmarks>/{system}/sweeps/{sweep}/tica/{point}/fold{fold}-seed{seed}.jsonl"
    params:
        settings=point_settings,


rule collect_sweep:
    input:
        scores=sweep_members("<results>/{system}/sweeps/{sweep}/{kind}/{point}/fold{fold}-seed{seed}/scores.json"),
        costs=sweep_members("<results>/{system}/sweeps/{sweep}/{kind}/{point}/fold{fold}-seed{seed}/costs.json"),
        benchmarks=sweep_members("<benchmarks>/{system}/sweeps/{sweep}/{kind}/{point}/fold{fold}-seed{seed}.jsonl"),
    output:
        members="<results>/{system}/sweeps/{sweep}/members.csv",
    log:
        "<logs>/{system}/sweeps/{sweep}/collect_sweep.log",
    conda:
        "../../envs/collect_sweep.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=duration(30),
    params:
        rows=sweep_rows,
        source=source_digest("collect_sweep"),
    script:
        "../../scripts/collect_sweep.py"
