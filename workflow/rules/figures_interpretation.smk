rule figure_token_importance:
    input:
        importance=of_model("<results>/{system}/msm/{model}/importance.csv", model="model"),
        verdict=of_model("<results>/{system}/msm/{model}/importance.json", model="model"),
        style=STYLE,
    output:
        pdf="<results>/{system}/figures/token_importance.pdf",
        png=report(
            "<results>/{system}/figures/token_importance.png",
            caption="../report/token_importance.rst",
            category="{system}",
            labels={"figure": "importance of tokens"},
        ),
        table="<results>/{system}/figures/token_importance.csv",
    log:
        "<logs>/{system}/figure_token_importance.log",
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=duration(20),
    params:
        source=source_digest("figure_token_importance"),
    script:
        "../../scripts/figure_token_importance.py"


rule figure_attention:
    input:
        attention=of_model("<results>/{system}/msm/{model}/attention.csv", model="model"),
        style=STYLE,
    output:
        pdf="<results>/{system}/figures/attention.pdf",
        png=report(
            "<results>/{system}/figures/attention.png",
            caption="../report/attention.rst",
            category="{system}",
            labels={"figure": "attention"},
        ),
        table="<results>/{system}/figures/attention.csv",
    log:
        "<logs>/{system}/figure_attention.log",
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=duration(20),
    params:
        source=source_digest("figure_attention"),
    script:
        "../../scripts/figure_attention.py"


rule figure_embedding_map:
    input:
        points=of_model("<results>/{system}/msm/{model}/embedding_map.csv", model="model"),
        scores=of_model("<results>/{system}/msm/{model}/embedding_map.json", model="model"),
        style=STYLE,
    output:
        pdf="<results>/{system}/figures/embedding_map.pdf",
        png=report(
            "<results>/{system}/figures/embedding_map.png",
            caption="../report/embedding_map.rst",
            category="{system}",
            labels={"figure": "map of tokens"},
        ),
        table="<results>/{system}/figures/embedding_map.csv",
    log:
        "<logs>/{system}/figure_embedding_map.log",
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=duration(20),
    params:
        source=source_digest("figure_embedding_map"),
    script:
        "../../scripts/figure_embedding_map.py"
