# Whether a Markov model can be believed: its lag, what it uses of the data, how well that is sampled, and whether its
# timescales agree with the score of its variables and with those of other folds and seeds.


rule propose_lag:
    input:
        timescales="<results>/{system}/msm/{model}/timescales.csv",
    output:
        lag="<results>/{system}/msm/{model}/lag.json",
    log:
        "<logs>/{system}/propose_lag/{model}.log",
    conda:
        "../../envs/propose_lag.yaml"
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=duration(10),
    params:
        settings=lookup(dpath="{system}/msm", within=SYSTEMS),
        source=source_digest("propose_lag"),
    script:
        "../../scripts/propose_lag.py"


rule check_connectivity:
    input:
        dtrajs="<results>/{system}/msm/{model}/dtrajs.zarr.zip",
    output:
        table="<results>/{system}/msm/{model}/connectivity.csv",
        verdict="<results>/{system}/msm/{model}/connectivity.json",
    log:
        "<logs>/{system}/check_connectivity/{model}.log",
    conda:
        "../../envs/check_connectivity.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=duration(60),
    params:
        settings=lookup(dpath="{system}/msm", within=SYSTEMS),
        source=source_digest("check_connectivity"),
    script:
        "../../scripts/check_connectivity.py"


rule check_sampling:
    input:
        dtrajs="<results>/{system}/msm/{model}/dtrajs.zarr.zip",
        msm="<results>/{system}/msm/{model}/msm.npz",
    output:
        sampling="<results>/{system}/msm/{model}/sampling.csv",
        convergence="<results>/{system}/msm/{model}/convergence.csv",
        verdict="<results>/{system}/msm/{model}/convergence.json",
    log:
        "<logs>/{system}/check_sampling/{model}.log",
    conda:
        "../../envs/check_sampling.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=duration(240),
    params:
        settings=lookup(dpath="{system}/msm", within=SYSTEMS),
        source=source_digest("check_sampling"),
    script:
        "../../scripts/check_sampling.py"


rule check_vamp2:
    input:
        variables="<results>/{system}/variables/{model}.zarr.zip",
        msm="<results>/{system}/msm/{model}/msm.npz",
        scores=members("<results>/{system}/models/{model}/fold{fold}-seed{seed}/scores.json"),
    output:
        table="<results>/{system}/msm/{model}/vamp2_consistency.csv",
        verdict="<results>/{system}/msm/{model}/vamp2_consistency.json",
    log:
        "<logs>/{system}/check_vamp2/{model}.log",
    conda:
        "../../envs/check_vamp2.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=duration(60),
    params:
        settings=lookup(dpath="{system}/msm", within=SYSTEMS),
        source=source_digest("check_vamp2"),
    script:
        "../../scripts/check_vamp2.py"


rule scan_members:
    input:
        sources=stored_inputs,
        weights=members("<results>/{system}/models/{model}/fold{fold}-seed{seed}/weights.safetensors"),
        split="<results>/{system}/split.json",
    output:
        timescales="<results>/{system}/msm/{model}/member_timescales.csv",
    log:
        "<logs>/{system}/scan_members/{model}.log",
    conda:
        "../../envs/scan_members.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=duration(240),
    params:
        settings=lookup(dpath="{system}/msm", within=SYSTEMS),
        source=source_digest("scan_members"),
    script:
        "../../scripts/scan_members.py"
