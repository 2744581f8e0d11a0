rule figure_ramachandran:
    input:
        features=per_trajectory("<results>/{system}/features/torsions/{trajectory}.zarr.zip"),
        states=of_model("<results>/{system}/states/{model}.zarr.zip", "model"),
        style=STYLE,
    output:
        pdf="<results>/{system}/figures/ramachandran.pdf",
        png=report(
            "<results>/{system}/figures/ramachandran.png",
            caption="../report/ramachandran.rst",
            category="{system}",
            labels={"figure": "Ramachandran map"},
        ),
        table="<results>/{system}/figures/ramachandran.csv",
    log:
        "<logs>/{system}/figure_ramachandran.log",
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=duration(20),
    params:
        source=source_digest("figure_ramachandran"),
    script:
        "../../scripts/figure_ramachandran.py"


rule figure_free_energy:
    input:
        free_energy=of_model("<results>/{system}/msm/{model}/free_energy.csv", model="model"),
        style=STYLE,
    output:
        pdf="<results>/{system}/figures/free_energy.pdf",
        png=report(
            "<results>/{system}/figures/free_energy.png",
            caption="../report/free_energy.rst",
            category="{system}",
            labels={"figure": "free energy"},
        ),
        table="<results>/{system}/figures/free_energy.csv",
    log:
        "<logs>/{system}/figure_free_energy.log",
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=duration(20),
    params:
        source=source_digest("figure_free_energy"),
    script:
        "../../scripts/figure_free_energy.py"


rule figure_stationary_populations:
    input:
        states=of_model("<results>/{system}/msm/{model}/states.csv", model="model"),
        style=STYLE,
    output:
        pdf="<results>/{system}/figures/stationary_populations.pdf",
        png=report(
            "<results>/{system}/figures/stationary_populations.png",
            caption="../report/stationary_populations.rst",
            category="{system}",
            labels={"figure": "stationary populations"},
        ),
        table="<results>/{system}/figures/stationary_populations.csv",
    log:
        "<logs>/{system}/figure_stationary_populations.log",
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=duration(20),
    params:
        source=source_digest("figure_stationary_populations"),
    script:
        "../../scripts/figure_stationary_populations.py"
