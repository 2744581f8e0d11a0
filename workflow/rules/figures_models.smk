rule figure_singular_functions:
    input:
        features=per_trajectory("<results>/{system}/features/torsions/{trajectory}.zarr.zip"),
        variables=of_model("<results>/{system}/variables/{model}.zarr.zip", "model"),
        style=STYLE,
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
        mem_mb=memory(2000),
        runtime=duration(20),
    params:
        name=lookup(dpath="{system}/msm/model", within=SYSTEMS),
        source=source_digest("figure_singular_functions"),
    script:
        "../../scripts/figure_singular_functions.py"


rule figure_learning_curves:
    input:
        histories=members("<results>/{system}/models/{model}/fold{fold}-seed{seed}/history.csv", model="model"),
        scores=members("<results>/{system}/models/{model}/fold{fold}-seed{seed}/scores.json", model="model"),
        style=STYLE,
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
        mem_mb=memory(2000),
        runtime=duration(20),
    params:
        name=lookup(dpath="{system}/msm/model", within=SYSTEMS),
        source=source_digest("figure_learning_curves"),
    script:
        "../../scripts/figure_learning_curves.py"


rule figure_vamp2_scores:
    input:
        model=members("<results>/{system}/models/{model}/fold{fold}-seed{seed}/scores.json", model="model"),
        baseline=members("<results>/{system}/models/{model}/fold{fold}-seed{seed}/scores.json", model="baseline"),
        style=STYLE,
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
        mem_mb=memory(2000),
        runtime=duration(20),
    params:
        names=msm_models,
        source=source_digest("figure_vamp2_scores"),
    script:
        "../../scripts/figure_vamp2_scores.py"


rule figure_pretraining:
    input:
        history="resources/encoders/{encoder}.csv",
        style=STYLE,
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
        mem_mb=memory(2000),
        runtime=duration(20),
    params:
        source=source_digest("figure_pretraining"),
    script:
        "../../scripts/figure_pretraining.py"


rule figure_encoder_check:
    input:
        check=encoder_check_file,
        style=STYLE,
    output:
        pdf="<results>/{system}/figures/encoder_check.pdf",
        png=report(
            "<results>/{system}/figures/encoder_check.png",
            caption="../report/encoder_check.rst",
            category="{system}",
            labels={"figure": "encoder check"},
        ),
        table="<results>/{system}/figures/encoder_check.csv",
    log:
        "<logs>/{system}/figure_encoder_check.log",
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=duration(20),
    params:
        source=source_digest("figure_encoder_check"),
    script:
        "../../scripts/figure_encoder_check.py"
