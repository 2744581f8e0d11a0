rule embed_tokens:
    input:
        trajectory=trajectory_file,
        topology=topology_file,
        inventory="<results>/{system}/trajectories/{trajectory}.json",
        table="<results>/{system}/tokens.csv",
        weights="<results>/encoders/{encoder}.safetensors",
        check="<results>/{system}/encoder_check/{encoder}.json",
    output:
        tokens=ensure("<results>/{system}/tokens/{encoder}/{trajectory}.zarr.zip", non_empty=True),
    log:
        "<logs>/{system}/embed_tokens/{encoder}/{trajectory}.log",
    benchmark:
        "<benchmarks>/{system}/embed_tokens/{encoder}/{trajectory}.jsonl"
    conda:
        "../../envs/embed_tokens.yaml"
    threads: 1
    resources:
        mem_mb=3000,
        runtime="12h",
    params:
        settings=embedding_settings,
        source=source_digest("embed_tokens"),
    script:
        "../../scripts/embed_tokens.py"
