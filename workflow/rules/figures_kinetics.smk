rule figure_implied_timescales:
    input:
        model=of_model("<results>/{system}/msm/{model}/timescales.csv", model="model"),
        baseline=of_model("<results>/{system}/msm/{model}/timescales.csv", model="baseline"),
        model_members=of_model("<results>/{system}/msm/{model}/member_timescales.csv", model="model"),
        baseline_members=of_model("<results>/{system}/msm/{model}/member_timescales.csv", model="baseline"),
        model_lag=of_model("<results>/{system}/msm/{model}/lag.json", model="model"),
        baseline_lag=of_model("<results>/{system}/msm/{model}/lag.json", model="baseline"),
        style=STYLE,
    output:
        pdf="<results>/{system}/figures/implied_timescales.pdf",
        png=report(
            "<results>/{system}/figures/implied_timescales.png",
            caption="../report/implied_timescales.rst",
            category="{system}",
            labels={"figure": "implied timescales"},
        ),
        table="<results>/{system}/figures/implied_timescales.csv",
    log:
        "<logs>/{system}/figure_implied_timescales.log",
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=duration(20),
    params:
        names=msm_models,
        lag_ps=lookup(dpath="{system}/msm/lag_ps", within=SYSTEMS),
        source=source_digest("figure_implied_timescales"),
    script:
        "../../scripts/figure_implied_timescales.py"


rule figure_ck_test:
    input:
        ck_test=of_model("<results>/{system}/msm/{model}/ck_test.csv", model="model"),
        verdict=of_model("<results>/{system}/msm/{model}/ck_test.json", model="model"),
        style=STYLE,
    output:
        pdf="<results>/{system}/figures/ck_test.pdf",
        png=report(
            "<results>/{system}/figures/ck_test.png",
            caption="../report/ck_test.rst",
            category="{system}",
            labels={"figure": "Chapman-Kolmogorov test"},
        ),
        table="<results>/{system}/figures/ck_test.csv",
    log:
        "<logs>/{system}/figure_ck_test.log",
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=duration(20),
    params:
        source=source_digest("figure_ck_test"),
    script:
        "../../scripts/figure_ck_test.py"


rule figure_rates_network:
    input:
        states=of_model("<results>/{system}/msm/{model}/states.csv", model="model"),
        rates=of_model("<results>/{system}/msm/{model}/rates.csv", model="model"),
        msm=of_model("<results>/{system}/msm/{model}/msm.npz", model="model"),
        style=STYLE,
    output:
        pdf="<results>/{system}/figures/rates_network.pdf",
        png=report(
            "<results>/{system}/figures/rates_network.png",
            caption="../report/rates_network.rst",
            category="{system}",
            labels={"figure": "rates network"},
        ),
        table="<results>/{system}/figures/rates_network.csv",
    log:
        "<logs>/{system}/figure_rates_network.log",
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=duration(20),
    params:
        source=source_digest("figure_rates_network"),
    script:
        "../../scripts/figure_rates_network.py"


rule figure_passage_times:
    input:
        rates=of_model("<results>/{system}/msm/{model}/rates.csv", model="model"),
        style=STYLE,
    output:
        pdf="<results>/{system}/figures/passage_times.pdf",
        png=report(
            "<results>/{system}/figures/passage_times.png",
            caption="../report/passage_times.rst",
            category="{system}",
            labels={"figure": "passage times"},
        ),
        table="<results>/{system}/figures/passage_times.csv",
    log:
        "<logs>/{system}/figure_passage_times.log",
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=duration(20),
    params:
        source=source_digest("figure_passage_times"),
    script:
        "../../scripts/figure_passage_times.py"
