# Before any token is embedded, for it refuses data that no model can be trained on.
rule split_trajectories:
    input:
        inventories=per_trajectory("<results>/{system}/trajectories/{trajectory}.json"),
    output:
        split="<results>/{system}/split.json",
    log:
        "<logs>/{system}/split_trajectories.log",
    priority: 10
    conda:
        "../../envs/split_trajectories.yaml"
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=duration(10),
    params:
        split=split_settings,
        source=source_digest("split_trajectories"),
    script:
        "../../scripts/split_trajectories.py"


rule train_vampnet:
    input:
        tokens=stored_inputs,
        split="<results>/{system}/split.json",
        log_weights=log_weight_stores,
    output:
        weights="<results>/{system}/models/{model}/fold{fold}-seed{seed}/weights.safetensors",
        history="<results>/{system}/models/{model}/fold{fold}-seed{seed}/history.csv",
        scores="<results>/{system}/models/{model}/fold{fold}-seed{seed}/scores.json",
        costs="<results>/{system}/models/{model}/fold{fold}-seed{seed}/costs.json",
    log:
        "<logs>/{system}/train_vampnet/{model}/fold{fold}-seed{seed}.log",
    benchmark:
        "<benchmarks>/{system}/train_vampnet/{model}/fold{fold}-seed{seed}.jsonl"
    wildcard_constraints:
        model=models_of_kind("vampnet"),
    conda:
        with_cuda("../../envs/train_vampnet.yaml")
    threads: 1
    resources:
        gpu=gpus(),
        mem_mb=training_memory,
        runtime=training_duration,
    params:
        settings=lookup(dpath="{system}/models/{model}", within=SYSTEMS),
        source=source_digest("train_vampnet"),
    script:
        "../../scripts/train_vampnet.py"


rule train_spib:
    input:
        tokens=stored_inputs,
        split="<results>/{system}/split.json",
        initial_weights=initial_weights,
        initial_stores=initial_stores,
        log_weights=log_weight_stores,
    output:
        weights="<results>/{system}/models/{model}/fold{fold}-seed{seed}/weights.safetensors",
        history="<results>/{system}/models/{model}/fold{fold}-seed{seed}/history.csv",
        scores="<results>/{system}/models/{model}/fold{fold}-seed{seed}/scores.json",
        costs="<results>/{system}/models/{model}/fold{fold}-seed{seed}/costs.json",
    log:
        "<logs>/{system}/train_spib/{model}/fold{fold}-seed{seed}.log",
    benchmark:
        "<benchmarks>/{system}/train_spib/{model}/fold{fold}-seed{seed}.jsonl"
    wildcard_constraints:
        model=models_of_kind("spib"),
    conda:
        with_cuda("../../envs/train_spib.yaml")
    threads: 1
    resources:
        gpu=gpus(),
        mem_mb=training_memory,
        runtime=training_duration,
    params:
        settings=lookup(dpath="{system}/models/{model}", within=SYSTEMS),
        source=source_digest("train_spib"),
    script:
        "../../scripts/train_spib.py"


rule fit_tica:
    input:
        features=stored_inputs,
        split="<results>/{system}/split.json",
        log_weights=log_weight_stores,
    output:
        weights="<results>/{system}/models/{model}/fold{fold}-seed{seed}/weights.safetensors",
        history="<results>/{system}/models/{model}/fold{fold}-seed{seed}/history.csv",
        scores="<results>/{system}/models/{model}/fold{fold}-seed{seed}/scores.json",
        costs="<results>/{system}/models/{model}/fold{fold}-seed{seed}/costs.json",
    log:
        "<logs>/{system}/fit_tica/{model}/fold{fold}-seed{seed}.log",
    wildcard_constraints:
        model=models_of_kind("tica"),
    conda:
        "../../envs/fit_tica.yaml"
    threads: 1
    resources:
        mem_mb=linear_model_memory,
        runtime=duration(60),
    params:
        settings=lookup(dpath="{system}/models/{model}", within=SYSTEMS),
        source=source_digest("fit_tica"),
    script:
        "../../scripts/fit_tica.py"


rule select_model:
    input:
        scores=members("<results>/{system}/models/{model}/fold{fold}-seed{seed}/scores.json"),
        weights=members("<results>/{system}/models/{model}/fold{fold}-seed{seed}/weights.safetensors"),
        sources=stored_inputs,
    output:
        ensemble="<results>/{system}/models/{model}/ensemble.json",
        chosen="<results>/{system}/models/{model}/weights.safetensors",
    log:
        "<logs>/{system}/select_model/{model}.log",
    conda:
        "../../envs/select_model.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=duration(30),
    params:
        source=source_digest("select_model"),
    script:
        "../../scripts/select_model.py"


rule project_variables:
    input:
        sources=stored_inputs,
        weights="<results>/{system}/models/{model}/weights.safetensors",
        split="<results>/{system}/split.json",
    output:
        variables="<results>/{system}/variables/{model}.zarr.zip",
    log:
        "<logs>/{system}/project_variables/{model}.log",
    conda:
        "../../envs/project_variables.yaml"
    threads: 1
    resources:
        mem_mb=memory(3000),
        runtime=projection_duration,
    params:
        source=source_digest("project_variables"),
    script:
        "../../scripts/project_variables.py"
