# Each figure_<name> rule runs scripts/figure_<name>.py; its caption is workflow/report/<name>.rst. The PNG is in the
# report because browsers show it everywhere, while a PDF needs their viewer plugin.


rule figures:
    input:
        collect(
            "<results>/{system}/figures/{figure}.pdf",
            system=SYSTEMS,
            figure=[
                "ramachandran",
                "free_energy",
                "singular_functions",
                "implied_timescales",
                "ck_test",
                "learning_curves",
                "vamp2_scores",
                "rates_network",
                "passage_times",
                "stationary_populations",
            ],
        ),
        collect(
            "<results>/encoders/{encoder}/pretraining.pdf",
            encoder=glob_wildcards("resources/encoders/{encoder}.csv").encoder,
        ),


rule figure_ramachandran:
    input:
        features=per_trajectory("<results>/{system}/features/torsions/{trajectory}.zarr.zip"),
        states=per_trajectory("<results>/{system}/states/{model}/{trajectory}.zarr.zip", model="model"),
        style="config/figures.mplstyle",
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
        mem_mb=2000,
        runtime="20m",
    params:
        source=source_digest("figure_ramachandran"),
    script:
        "../../scripts/figure_ramachandran.py"


rule figure_free_energy:
    input:
        features=per_trajectory("<results>/{system}/features/torsions/{trajectory}.zarr.zip"),
        states=per_trajectory("<results>/{system}/states/{model}/{trajectory}.zarr.zip", model="model"),
        msm=of_model("<results>/{system}/msm/{model}/msm.npz", model="model"),
        style="config/figures.mplstyle",
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
        mem_mb=2000,
        runtime="20m",
    params:
        source=source_digest("figure_free_energy"),
    script:
        "../../scripts/figure_free_energy.py"


rule figure_singular_functions:
    input:
        features=per_trajectory("<results>/{system}/features/torsions/{trajectory}.zarr.zip"),
        variables=per_trajectory("<results>/{system}/variables/{model}/{trajectory}.zarr.zip", model="model"),
        style="config/figures.mplstyle",
    output:
        pdf="<results>/{system}/figures/singular_functions.pdf",
        png=report(
            "<results>/{system}/figures/singular_functions.png",
            caption="../report/singular_functions.rst",
            category="{system}",
            labels={"figure": "singular functions"},
        ),
        table="<results>/{system}/figures/singular_functions.csv",
    log:
        "<logs>/{system}/figure_singular_functions.log",
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime="20m",
    params:
        name=lookup(dpath="{system}/msm/model", within=SYSTEMS),
        source=source_digest("figure_singular_functions"),
    script:
        "../../scripts/figure_singular_functions.py"


rule figure_implied_timescales:
    input:
        model=of_model("<results>/{system}/msm/{model}/timescales.csv", model="model"),
        baseline=of_model("<results>/{system}/msm/{model}/timescales.csv", model="baseline"),
        style="config/figures.mplstyle",
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
        mem_mb=2000,
        runtime="20m",
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
        style="config/figures.mplstyle",
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
        mem_mb=2000,
        runtime="20m",
    params:
        source=source_digest("figure_ck_test"),
    script:
        "../../scripts/figure_ck_test.py"


rule figure_learning_curves:
    input:
        histories=members("<results>/{system}/models/{model}/fold{fold}-seed{seed}/history.csv", model="model"),
        scores=members("<results>/{system}/models/{model}/fold{fold}-seed{seed}/scores.json", model="model"),
        style="config/figures.mplstyle",
    output:
        pdf="<results>/{system}/figures/learning_curves.pdf",
        png=report(
            "<results>/{system}/figures/learning_curves.png",
            caption="../report/learning_curves.rst",
            category="{system}",
            labels={"figure": "learning curves"},
        ),
        table="<results>/{system}/figures/learning_curves.csv",
    log:
        "<logs>/{system}/figure_learning_curves.log",
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime="20m",
    params:
        name=lookup(dpath="{system}/msm/model", within=SYSTEMS),
        source=source_digest("figure_learning_curves"),
    script:
        "../../scripts/figure_learning_curves.py"


rule figure_vamp2_scores:
    input:
        model=members("<results>/{system}/models/{model}/fold{fold}-seed{seed}/scores.json", model="model"),
        baseline=members("<results>/{system}/models/{model}/fold{fold}-seed{seed}/scores.json", model="baseline"),
        style="config/figures.mplstyle",
    output:
        pdf="<results>/{system}/figures/vamp2_scores.pdf",
        png=report(
            "<results>/{system}/figures/vamp2_scores.png",
            caption="../report/vamp2_scores.rst",
            category="{system}",
            labels={"figure": "VAMP-2 scores"},
        ),
        table="<results>/{system}/figures/vamp2_scores.csv",
    log:
        "<logs>/{system}/figure_vamp2_scores.log",
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime="20m",
    params:
        names=msm_models,
        source=source_digest("figure_vamp2_scores"),
    script:
        "../../scripts/figure_vamp2_scores.py"


rule figure_rates_network:
    input:
        states=of_model("<results>/{system}/msm/{model}/states.csv", model="model"),
        rates=of_model("<results>/{system}/msm/{model}/rates.csv", model="model"),
        style="config/figures.mplstyle",
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
        mem_mb=2000,
        runtime="20m",
    params:
        source=source_digest("figure_rates_network"),
    script:
        "../../scripts/figure_rates_network.py"


rule figure_passage_times:
    input:
        rates=of_model("<results>/{system}/msm/{model}/rates.csv", model="model"),
        style="config/figures.mplstyle",
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
        mem_mb=2000,
        runtime="20m",
    params:
        source=source_digest("figure_passage_times"),
    script:
        "../../scripts/figure_passage_times.py"


rule figure_stationary_populations:
    input:
        states=of_model("<results>/{system}/msm/{model}/states.csv", model="model"),
        style="config/figures.mplstyle",
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
        mem_mb=2000,
        runtime="20m",
    params:
        source=source_digest("figure_stationary_populations"),
    script:
        "../../scripts/figure_stationary_populations.py"


rule figure_pretraining:
    input:
        history="resources/encoders/{encoder}.csv",
        style="config/figures.mplstyle",
    output:
        pdf="<results>/encoders/{encoder}/pretraining.pdf",
        png=report(
            "<results>/encoders/{encoder}/pretraining.png",
            caption="../report/pretraining.rst",
            category="encoder {encoder}",
            labels={"figure": "pretraining"},
        ),
        table="<results>/encoders/{encoder}/pretraining.csv",
    log:
        "<logs>/encoders/{encoder}/figure_pretraining.log",
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime="20m",
    params:
        source=source_digest("figure_pretraining"),
    script:
        "../../scripts/figure_pretraining.py"
