rule figure_annotation:
    input:
        annotation=of_model("<results>/{system}/msm/{model}/annotation.csv", model="model"),
        style=STYLE,
    output:
        pdf="<results>/{system}/figures/annotation.pdf",
        png=report(
            "<results>/{system}/figures/annotation.png",
            caption="../report/annotation.rst",
            category="{system}",
            labels={"figure": "states in physical terms"},
        ),
        table="<results>/{system}/figures/annotation.csv",
    log:
        "<logs>/{system}/figure_annotation.log",
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=duration(20),
    params:
        source=source_digest("figure_annotation"),
    script:
        "../../scripts/figure_annotation.py"


rule figure_state_contacts:
    input:
        probabilities=of_model("<results>/{system}/msm/{model}/contact_probabilities.csv", model="model"),
        style=STYLE,
    output:
        pdf="<results>/{system}/figures/state_contacts.pdf",
        png=report(
            "<results>/{system}/figures/state_contacts.png",
            caption="../report/state_contacts.rst",
            category="{system}",
            labels={"figure": "contacts of the states"},
        ),
        table="<results>/{system}/figures/state_contacts.csv",
    log:
        "<logs>/{system}/figure_state_contacts.log",
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=duration(20),
    params:
        source=source_digest("figure_state_contacts"),
    script:
        "../../scripts/figure_state_contacts.py"


rule figure_observables_on_variables:
    input:
        observables=per_trajectory("<results>/{system}/observables/{trajectory}.zarr.zip"),
        variables=of_model("<results>/{system}/variables/{model}.zarr.zip", "model"),
        states=of_model("<results>/{system}/states/{model}.zarr.zip", "model"),
        msm=of_model("<results>/{system}/msm/{model}/msm.npz", model="model"),
        style=STYLE,
    output:
        pdf="<results>/{system}/figures/observables_on_variables.pdf",
        png=report(
            "<results>/{system}/figures/observables_on_variables.png",
            caption="../report/observables_on_variables.rst",
            category="{system}",
            labels={"figure": "slow variables against observables"},
        ),
        table="<results>/{system}/figures/observables_on_variables.csv",
    log:
        "<logs>/{system}/figure_observables_on_variables.log",
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=duration(20),
    params:
        source=source_digest("figure_observables_on_variables"),
    script:
        "../../scripts/figure_observables_on_variables.py"


rule figure_variables_scatter:
    input:
        states=of_model("<results>/{system}/states/{model}.zarr.zip", "model"),
        variables=of_model("<results>/{system}/variables/{model}.zarr.zip", "model"),
        frames=of_states("<results>/{system}/msm/{model}/structures/state-{state}.csv"),
        structures=of_states("<results>/{system}/msm/{model}/structures/state-{state}.pdb"),
        style=STYLE,
    output:
        pdf="<results>/{system}/figures/variables_scatter.pdf",
        png=report(
            "<results>/{system}/figures/variables_scatter.png",
            caption="../report/variables_scatter.rst",
            category="{system}",
            labels={"figure": "states in the slow variables"},
        ),
        table="<results>/{system}/figures/variables_scatter.csv",
    log:
        "<logs>/{system}/figure_variables_scatter.log",
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=duration(20),
    params:
        source=source_digest("figure_variables_scatter"),
    script:
        "../../scripts/figure_variables_scatter.py"
