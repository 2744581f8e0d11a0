rule fetch_geometries:
    output:
        geometries="<results>/geometries/{geometries}{ending,\\.(hdf5|npz)}",
    log:
        "<logs>/fetch_geometries/{geometries}{ending}.log",
    conda:
        "../../envs/fetch_geometries.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=duration(60),
    params:
        settings=lookup(dpath="geometries/{geometries}", within=ENCODERS),
        source=source_digest("fetch_geometries"),
    script:
        "../../scripts/fetch_geometries.py"


rule pretrain_encoder:
    input:
        geometries=pretraining_geometries,
    output:
        weights="<results>/pretraining/{encoder}/weights.safetensors",
        history="<results>/pretraining/{encoder}/history.csv",
        card="<results>/pretraining/{encoder}/card.json",
    log:
        "<logs>/pretrain_encoder/{encoder}.log",
    benchmark:
        "<benchmarks>/pretrain_encoder/{encoder}.jsonl"
    conda:
        "../../envs/pretrain_encoder.yaml"
    threads: 1
    resources:
        mem_mb=memory(6000),
        runtime=duration(1440),
    params:
        architecture=lookup(dpath="encoders/{encoder}/architecture", within=ENCODERS),
        settings=lookup(dpath="encoders/{encoder}/pretraining", within=ENCODERS),
        source=source_digest("pretrain_encoder"),
    script:
        "../../scripts/pretrain_encoder.py"


rule prepare_encoder:
    output:
        weights="<results>/encoders/{encoder}.safetensors",
    log:
        "<logs>/prepare_encoder/{encoder}.log",
    conda:
        "../../envs/prepare_encoder.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=duration(30),
    params:
        settings=lookup(dpath="encoders/{encoder}", within=ENCODERS),
        source=source_digest("prepare_encoder"),
    script:
        "../../scripts/prepare_encoder.py"


rule check_encoder:
    input:
        unpack(first_trajectory),
        topology=topology_file,
        weights="<results>/encoders/{encoder}.safetensors",
        reference=own_file("resources/structures/alanine_dipeptide.pdb"),
    output:
        check="<results>/{system}/encoder_check/{encoder}.json",
    log:
        "<logs>/{system}/check_encoder/{encoder}.log",
    priority: 10
    conda:
        "../../envs/check_encoder.yaml"
    threads: 1
    resources:
        mem_mb=memory(3000),
        runtime=duration(60),
    params:
        settings=encoder_check_settings,
        source=source_digest("check_encoder"),
    script:
        "../../scripts/check_encoder.py"
