# The verdict table of each system's model, and the page that opens with it.


rule judge_model:
    input:
        lag="<results>/{system}/msm/{model}/lag.json",
        ck_test="<results>/{system}/msm/{model}/ck_test.json",
        connectivity="<results>/{system}/msm/{model}/connectivity.json",
        spectrum="<results>/{system}/msm/{model}/spectrum.json",
        reversibility="<results>/{system}/msm/{model}/reversibility.json",
        relaxation="<results>/{system}/msm/{model}/relaxation.json",
        sampling="<results>/{system}/msm/{model}/sampling.csv",
        convergence="<results>/{system}/msm/{model}/convergence.json",
        ensemble="<results>/{system}/models/{model}/ensemble.json",
        baseline=of_model("<results>/{system}/models/{model}/ensemble.json", model="baseline"),
        encoder=encoder_verdict,
        vamp2_consistency="<results>/{system}/msm/{model}/vamp2_consistency.json",
        importance=importance_verdict,
    output:
        verdicts="<results>/{system}/msm/{model}/verdicts.json",
        table="<results>/{system}/msm/{model}/verdicts.csv",
    log:
        "<logs>/{system}/judge_model/{model}.log",
    conda:
        "../../envs/judge_model.yaml"
    threads: 1
    resources:
        mem_mb=memory(500),
        runtime=duration(10),
    params:
        biased=lambda wildcards: "log_weights" in SYSTEMS[wildcards.system]["trajectories"],
        source=source_digest("judge_model"),
    script:
        "../../scripts/judge_model.py"


rule figure_verdicts:
    input:
        verdicts=of_model("<results>/{system}/msm/{model}/verdicts.json", model="model"),
        style=STYLE,
    output:
        pdf="<results>/{system}/figures/verdicts.pdf",
        png=report(
            "<results>/{system}/figures/verdicts.png",
            caption="../report/verdicts.rst",
            category="{system}",
            labels={"figure": "verdicts"},
        ),
        table="<results>/{system}/figures/verdicts.csv",
    log:
        "<logs>/{system}/figure_verdicts.log",
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=duration(20),
    params:
        name=lookup(dpath="{system}/msm/model", within=SYSTEMS),
        source=source_digest("figure_verdicts"),
    script:
        "../../scripts/figure_verdicts.py"


rule describe_system:
    input:
        verdicts=of_model("<results>/{system}/msm/{model}/verdicts.json", model="model"),
        summary=of_model("<results>/{system}/msm/{model}/summary.json", model="model"),
        states=of_model("<results>/{system}/msm/{model}/states.csv", model="model"),
        rates=of_model("<results>/{system}/msm/{model}/rates.csv", model="model"),
        annotation=of_model("<results>/{system}/msm/{model}/annotation.csv", model="model"),
        encoder_check=encoder_check_file,
        inventories=per_trajectory("<results>/{system}/trajectories/{trajectory}.json"),
        structures=model_structures,
        images=figure_files("png"),
        drawings=figure_files("pdf"),
        tables=figure_files("csv"),
        captions=figure_captions,
        template=own_file("workflow/report/section.html"),
        style=STYLE,
    output:
        section="<results>/{system}/section.html",
    log:
        "<logs>/{system}/describe_system.log",
    conda:
        "../../envs/describe_system.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=duration(20),
    params:
        figures=figure_names,
        models=msm_models,
        settings=settings_of_system,
        source=source_digest("describe_system"),
    script:
        "../../scripts/describe_system.py"


rule write_report:
    input:
        verdicts=[f"<results>/{name}/msm/{SYSTEMS[name]['msm']['model']}/verdicts.json" for name in SELECTED["systems"]],
        sections=collect("<results>/{system}/section.html", system=SELECTED["systems"]),
        template=own_file("workflow/report/page.html"),
        citation=own_file("CITATION.cff"),
    output:
        report="<results>/report.html",
    log:
        "<logs>/write_report.log",
    conda:
        "../../envs/write_report.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=duration(10),
    params:
        source=source_digest("write_report"),
    script:
        "../../scripts/write_report.py"
