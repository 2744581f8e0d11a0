rule embed_tokens:
    input:
        trajectory=trajectory_file,
        topology=topology_file,
        inventory="<results>/{system}/trajectories/{trajectory}.json",
        table="<results>/{system}/tokens.csv",
        weights="<results>/encoders/{encoder}.safetensors",
        check="<results>/{system}/encoder_check/{encoder}.json",
        ranges=token_ranges,
    output:
        tokens=ensure("<results>/{system}/tokens/{encoder}/{trajectory}.zarr.zip", non_empty=True),
    log:
        "<logs>/{system}/embed_tokens/{encoder}/{trajectory}.log",
    benchmark:
        "<benchmarks>/{system}/embed_tokens/{encoder}/{trajectory}.jsonl"
    conda:
        with_cuda("../../envs/embed_tokens.yaml")
    threads: 1
    resources:
        gpu=gpus(),
        mem_mb=embedding_memory,
        runtime=embedding_duration,
    params:
        settings=embedding_settings,
        source=source_digest("embed_tokens"),
    script:
        "../../scripts/embed_tokens.py"


# Only where tokens.n_ranges is more than 1: the frames of one long trajectory, embedded by several jobs.
rule embed_range:
    input:
        trajectory=trajectory_file,
        topology=topology_file,
        inventory="<results>/{system}/trajectories/{trajectory}.json",
        table="<results>/{system}/tokens.csv",
        weights="<results>/encoders/{encoder}.safetensors",
        check="<results>/{system}/encoder_check/{encoder}.json",
    output:
        tokens=temp("<results>/{system}/tokens/{encoder}/{trajectory}.ranges/{range}.zarr.zip"),
    log:
        "<logs>/{system}/embed_range/{encoder}/{trajectory}/{range}.log",
    benchmark:
        "<benchmarks>/{system}/embed_range/{encoder}/{trajectory}/{range}.jsonl"
    wildcard_constraints:
        range="[0-9]+",
    conda:
        with_cuda("../../envs/embed_range.yaml")
    threads: 1
    resources:
        gpu=gpus(),
        mem_mb=embedding_memory,
        runtime=embedding_duration,
    params:
        n_ranges=n_token_ranges,
        settings=embedding_settings,
        source=source_digest("embed_range"),
    script:
        "../../scripts/embed_range.py"
