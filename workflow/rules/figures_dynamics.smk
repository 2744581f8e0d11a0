rule figure_committors:
    input:
        committors=of_model("<results>/{system}/msm/{model}/committors.csv", model="model"),
        memberships=of_model("<results>/{system}/msm/{model}/memberships.csv", model="model"),
        verdict=of_model("<results>/{system}/msm/{model}/tpt.json", model="model"),
        style=STYLE,
    output:
        pdf="<results>/{system}/figures/committors.pdf",
        png=report(
            "<results>/{system}/figures/committors.png",
            caption="../report/committors.rst",
            category="{system}",
            labels={"figure": "committors"},
        ),
        table="<results>/{system}/figures/committors.csv",
    log:
        "<logs>/{system}/figure_committors.log",
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=duration(20),
    params:
        source=source_digest("figure_committors"),
    script:
        "../../scripts/figure_committors.py"


rule figure_flux_network:
    input:
        fluxes=of_model("<results>/{system}/msm/{model}/fluxes.csv", model="model"),
        pathways=of_model("<results>/{system}/msm/{model}/pathways.csv", model="model"),
        committors=of_model("<results>/{system}/msm/{model}/committors.csv", model="model"),
        verdict=of_model("<results>/{system}/msm/{model}/tpt.json", model="model"),
        style=STYLE,
    output:
        pdf="<results>/{system}/figures/flux_network.pdf",
        png=report(
            "<results>/{system}/figures/flux_network.png",
            caption="../report/flux_network.rst",
            category="{system}",
            labels={"figure": "flux network"},
        ),
        table="<results>/{system}/figures/flux_network.csv",
    log:
        "<logs>/{system}/figure_flux_network.log",
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=duration(20),
    params:
        source=source_digest("figure_flux_network"),
    script:
        "../../scripts/figure_flux_network.py"


rule figure_passage_times_lags:
    input:
        passage_times=of_model("<results>/{system}/msm/{model}/mfpt_lags.csv", model="model"),
        style=STYLE,
    output:
        pdf="<results>/{system}/figures/passage_times_lags.pdf",
        png=report(
            "<results>/{system}/figures/passage_times_lags.png",
            caption="../report/passage_times_lags.rst",
            category="{system}",
            labels={"figure": "passage times against lag"},
        ),
        table="<results>/{system}/figures/passage_times_lags.csv",
    log:
        "<logs>/{system}/figure_passage_times_lags.log",
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=duration(20),
    params:
        source=source_digest("figure_passage_times_lags"),
    script:
        "../../scripts/figure_passage_times_lags.py"


rule figure_relaxation:
    input:
        relaxation=of_model("<results>/{system}/msm/{model}/relaxation.csv", model="model"),
        verdict=of_model("<results>/{system}/msm/{model}/relaxation.json", model="model"),
        style=STYLE,
    output:
        pdf="<results>/{system}/figures/relaxation.pdf",
        png=report(
            "<results>/{system}/figures/relaxation.png",
            caption="../report/relaxation.rst",
            category="{system}",
            labels={"figure": "relaxation"},
        ),
        table="<results>/{system}/figures/relaxation.csv",
    log:
        "<logs>/{system}/figure_relaxation.log",
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=duration(20),
    params:
        source=source_digest("figure_relaxation"),
    script:
        "../../scripts/figure_relaxation.py"


rule figure_memberships:
    input:
        memberships=of_model("<results>/{system}/msm/{model}/memberships.csv", model="model"),
        spectrum=of_model("<results>/{system}/msm/{model}/spectrum.csv", model="model"),
        verdict=of_model("<results>/{system}/msm/{model}/spectrum.json", model="model"),
        style=STYLE,
    output:
        pdf="<results>/{system}/figures/memberships.pdf",
        png=report(
            "<results>/{system}/figures/memberships.png",
            caption="../report/memberships.rst",
            category="{system}",
            labels={"figure": "spectral gap and memberships"},
        ),
        table="<results>/{system}/figures/memberships.csv",
    log:
        "<logs>/{system}/figure_memberships.log",
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=duration(20),
    params:
        source=source_digest("figure_memberships"),
    script:
        "../../scripts/figure_memberships.py"


rule figure_hmm:
    input:
        hmm=of_model("<results>/{system}/msm/{model}/hmm.json", model="model"),
        style=STYLE,
    output:
        pdf="<results>/{system}/figures/hmm.pdf",
        png=report(
            "<results>/{system}/figures/hmm.png",
            caption="../report/hmm.rst",
            category="{system}",
            labels={"figure": "hidden Markov model"},
        ),
        table="<results>/{system}/figures/hmm.csv",
    log:
        "<logs>/{system}/figure_hmm.log",
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=duration(20),
    params:
        source=source_digest("figure_hmm"),
    script:
        "../../scripts/figure_hmm.py"


rule figure_reversibility:
    input:
        reversibility=of_model("<results>/{system}/msm/{model}/reversibility.json", model="model"),
        style=STYLE,
    output:
        pdf="<results>/{system}/figures/reversibility.pdf",
        png=report(
            "<results>/{system}/figures/reversibility.png",
            caption="../report/reversibility.rst",
            category="{system}",
            labels={"figure": "reversibility"},
        ),
        table="<results>/{system}/figures/reversibility.csv",
    log:
        "<logs>/{system}/figure_reversibility.log",
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=duration(20),
    params:
        source=source_digest("figure_reversibility"),
    script:
        "../../scripts/figure_reversibility.py"
