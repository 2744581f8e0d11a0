rule figure_connectivity:
    input:
        connectivity=of_model("<results>/{system}/msm/{model}/connectivity.csv", model="model"),
        verdict=of_model("<results>/{system}/msm/{model}/connectivity.json", model="model"),
        style=STYLE,
    output:
        pdf="<results>/{system}/figures/connectivity.pdf",
        png=report(
            "<results>/{system}/figures/connectivity.png",
            caption="../report/connectivity.rst",
            category="{system}",
            labels={"figure": "connectivity"},
        ),
        table="<results>/{system}/figures/connectivity.csv",
    log:
        "<logs>/{system}/figure_connectivity.log",
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=duration(20),
    params:
        source=source_digest("figure_connectivity"),
    script:
        "../../scripts/figure_connectivity.py"


rule figure_convergence:
    input:
        convergence=of_model("<results>/{system}/msm/{model}/convergence.csv", model="model"),
        verdict=of_model("<results>/{system}/msm/{model}/convergence.json", model="model"),
        style=STYLE,
    output:
        pdf="<results>/{system}/figures/convergence.pdf",
        png=report(
            "<results>/{system}/figures/convergence.png",
            caption="../report/convergence.rst",
            category="{system}",
            labels={"figure": "convergence"},
        ),
        table="<results>/{system}/figures/convergence.csv",
    log:
        "<logs>/{system}/figure_convergence.log",
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=duration(20),
    params:
        source=source_digest("figure_convergence"),
    script:
        "../../scripts/figure_convergence.py"


rule figure_vamp2_consistency:
    input:
        consistency=of_model("<results>/{system}/msm/{model}/vamp2_consistency.csv", model="model"),
        verdict=of_model("<results>/{system}/msm/{model}/vamp2_consistency.json", model="model"),
        style=STYLE,
    output:
        pdf="<results>/{system}/figures/vamp2_consistency.pdf",
        png=report(
            "<results>/{system}/figures/vamp2_consistency.png",
            caption="../report/vamp2_consistency.rst",
            category="{system}",
            labels={"figure": "VAMP-2 consistency"},
        ),
        table="<results>/{system}/figures/vamp2_consistency.csv",
    log:
        "<logs>/{system}/figure_vamp2_consistency.log",
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=duration(20),
    params:
        lag_ps=lookup(dpath="{system}/msm/lag_ps", within=SYSTEMS),
        source=source_digest("figure_vamp2_consistency"),
    script:
        "../../scripts/figure_vamp2_consistency.py"
