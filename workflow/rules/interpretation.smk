rule measure_importance:
    input:
        tokens=stored_inputs,
        states="<results>/{system}/states/{model}.zarr.zip",
        weights="<results>/{system}/models/{model}/weights.safetensors",
        table="<results>/{system}/tokens.csv",
    output:
        importance="<results>/{system}/msm/{model}/importance.csv",
        verdict="<results>/{system}/msm/{model}/importance.json",
    log:
        "<logs>/{system}/measure_importance/{model}.log",
    wildcard_constraints:
        model=names_of_models(reads_tokens),
    conda:
        "../../envs/measure_importance.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=duration(480),
    params:
        settings=lookup(dpath="{system}/interpretation", within=SYSTEMS),
        source=source_digest("measure_importance"),
    script:
        "../../scripts/measure_importance.py"


rule average_attention:
    input:
        tokens=stored_inputs,
        states="<results>/{system}/states/{model}.zarr.zip",
        weights="<results>/{system}/models/{model}/weights.safetensors",
        table="<results>/{system}/tokens.csv",
    output:
        attention="<results>/{system}/msm/{model}/attention.csv",
    log:
        "<logs>/{system}/average_attention/{model}.log",
    wildcard_constraints:
        model=names_of_models(attends),
    conda:
        "../../envs/average_attention.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=duration(60),
    params:
        settings=lookup(dpath="{system}/interpretation", within=SYSTEMS),
        source=source_digest("average_attention"),
    script:
        "../../scripts/average_attention.py"


rule map_embeddings:
    input:
        trajectories=trajectory_files_of_system,
        inventories=per_trajectory("<results>/{system}/trajectories/{trajectory}.json"),
        states="<results>/{system}/states/{model}.zarr.zip",
        table="<results>/{system}/tokens.csv",
        weights=encoder_weights,
    output:
        points="<results>/{system}/msm/{model}/embedding_map.csv",
        scores="<results>/{system}/msm/{model}/embedding_map.json",
    log:
        "<logs>/{system}/map_embeddings/{model}.log",
    wildcard_constraints:
        model=names_of_models(reads_tokens),
    conda:
        "../../envs/map_embeddings.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=duration(120),
    params:
        settings=map_settings,
        source=source_digest("map_embeddings"),
    script:
        "../../scripts/map_embeddings.py"
