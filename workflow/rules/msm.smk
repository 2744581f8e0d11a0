rule cluster_microstates:
    input:
        lags="<results>/{system}/lags.json",
        variables="<results>/{system}/variables/{model}.zarr.zip",
    output:
        microstates="<results>/{system}/msm/{model}/microstates.npz",
        dtrajs="<results>/{system}/msm/{model}/dtrajs.zarr.zip",
    log:
        "<logs>/{system}/cluster_microstates/{model}.log",
    conda:
        "../../envs/cluster_microstates.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=duration(60),
    params:
        settings=lookup(dpath="{system}/msm", within=SYSTEMS),
        source=source_digest("cluster_microstates"),
    script:
        "../../scripts/cluster_microstates.py"


rule scan_lags:
    input:
        dtrajs="<results>/{system}/msm/{model}/dtrajs.zarr.zip",
    output:
        timescales="<results>/{system}/msm/{model}/timescales.csv",
    log:
        "<logs>/{system}/scan_lags/{model}.log",
    conda:
        "../../envs/scan_lags.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=duration(240),
    params:
        settings=lookup(dpath="{system}/msm", within=SYSTEMS),
        source=source_digest("scan_lags"),
    script:
        "../../scripts/scan_lags.py"


rule estimate_msm:
    input:
        dtrajs="<results>/{system}/msm/{model}/dtrajs.zarr.zip",
    output:
        msm="<results>/{system}/msm/{model}/msm.npz",
        states="<results>/{system}/msm/{model}/states.csv",
        rates="<results>/{system}/msm/{model}/rates.csv",
        summary="<results>/{system}/msm/{model}/summary.json",
    log:
        "<logs>/{system}/estimate_msm/{model}.log",
    conda:
        "../../envs/estimate_msm.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=duration(240),
    params:
        settings=lookup(dpath="{system}/msm", within=SYSTEMS),
        temperature_K=lookup(dpath="{system}/trajectories/temperature_K", within=SYSTEMS),
        source=source_digest("estimate_msm"),
    script:
        "../../scripts/estimate_msm.py"


rule test_markov:
    input:
        dtrajs="<results>/{system}/msm/{model}/dtrajs.zarr.zip",
        msm="<results>/{system}/msm/{model}/msm.npz",
    output:
        ck_test="<results>/{system}/msm/{model}/ck_test.csv",
        verdict="<results>/{system}/msm/{model}/ck_test.json",
    log:
        "<logs>/{system}/test_markov/{model}.log",
    conda:
        "../../envs/test_markov.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=duration(240),
    params:
        settings=lookup(dpath="{system}/msm", within=SYSTEMS),
        source=source_digest("test_markov"),
    script:
        "../../scripts/test_markov.py"


rule assign_states:
    input:
        variables="<results>/{system}/variables/{model}.zarr.zip",
        dtrajs="<results>/{system}/msm/{model}/dtrajs.zarr.zip",
        msm="<results>/{system}/msm/{model}/msm.npz",
    output:
        assignment="<results>/{system}/states/{model}.zarr.zip",
    log:
        "<logs>/{system}/assign_states/{model}.log",
    conda:
        "../../envs/assign_states.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=duration(60),
    params:
        source=source_digest("assign_states"),
    script:
        "../../scripts/assign_states.py"
