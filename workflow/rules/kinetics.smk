rule analyze_transition_paths:
    input:
        msm="<results>/{system}/msm/{model}/msm.npz",
    output:
        committors="<results>/{system}/msm/{model}/committors.csv",
        fluxes="<results>/{system}/msm/{model}/fluxes.csv",
        pathways="<results>/{system}/msm/{model}/pathways.csv",
        verdict="<results>/{system}/msm/{model}/tpt.json",
    log:
        "<logs>/{system}/analyze_transition_paths/{model}.log",
    conda:
        "../../envs/analyze_transition_paths.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=duration(240),
    params:
        settings=lookup(dpath="{system}/msm", within=SYSTEMS),
        source=source_digest("analyze_transition_paths"),
    script:
        "../../scripts/analyze_transition_paths.py"


rule analyze_spectrum:
    input:
        microstates="<results>/{system}/msm/{model}/microstates.npz",
        msm="<results>/{system}/msm/{model}/msm.npz",
    output:
        memberships="<results>/{system}/msm/{model}/memberships.csv",
        spectrum="<results>/{system}/msm/{model}/spectrum.csv",
        gap="<results>/{system}/msm/{model}/spectrum.json",
        reversibility="<results>/{system}/msm/{model}/reversibility.json",
    log:
        "<logs>/{system}/analyze_spectrum/{model}.log",
    conda:
        "../../envs/analyze_spectrum.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=duration(240),
    params:
        settings=lookup(dpath="{system}/msm", within=SYSTEMS),
        source=source_digest("analyze_spectrum"),
    script:
        "../../scripts/analyze_spectrum.py"


rule analyze_relaxation:
    input:
        dtrajs="<results>/{system}/msm/{model}/dtrajs.zarr.zip",
        msm="<results>/{system}/msm/{model}/msm.npz",
    output:
        relaxation="<results>/{system}/msm/{model}/relaxation.csv",
        passage_times="<results>/{system}/msm/{model}/mfpt_lags.csv",
        verdict="<results>/{system}/msm/{model}/relaxation.json",
    log:
        "<logs>/{system}/analyze_relaxation/{model}.log",
    conda:
        "../../envs/analyze_relaxation.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=duration(240),
    params:
        settings=lookup(dpath="{system}/msm", within=SYSTEMS),
        source=source_digest("analyze_relaxation"),
    script:
        "../../scripts/analyze_relaxation.py"


rule estimate_hmm:
    input:
        dtrajs="<results>/{system}/msm/{model}/dtrajs.zarr.zip",
        msm="<results>/{system}/msm/{model}/msm.npz",
    output:
        hmm="<results>/{system}/msm/{model}/hmm.json",
    log:
        "<logs>/{system}/estimate_hmm/{model}.log",
    conda:
        "../../envs/estimate_hmm.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=duration(240),
    params:
        settings=lookup(dpath="{system}/msm", within=SYSTEMS),
        source=source_digest("estimate_hmm"),
    script:
        "../../scripts/estimate_hmm.py"


rule bootstrap_free_energy:
    input:
        features=per_trajectory("<results>/{system}/features/torsions/{trajectory}.zarr.zip"),
        states="<results>/{system}/states/{model}.zarr.zip",
        msm="<results>/{system}/msm/{model}/msm.npz",
    output:
        free_energy="<results>/{system}/msm/{model}/free_energy.csv",
    log:
        "<logs>/{system}/bootstrap_free_energy/{model}.log",
    conda:
        "../../envs/bootstrap_free_energy.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=duration(240),
    params:
        settings=lookup(dpath="{system}/msm", within=SYSTEMS),
        source=source_digest("bootstrap_free_energy"),
    script:
        "../../scripts/bootstrap_free_energy.py"
