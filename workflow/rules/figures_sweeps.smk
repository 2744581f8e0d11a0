# Each figure_<name> rule runs scripts/figure_<name>.py; its caption is workflow/report/<name>.rst. Which of them draws a
# sweep stands in the sweep's file.


rule sweeps:
    input:
        sweep_figures,


rule figure_sweep_grid:
    input:
        members="<results>/{system}/sweeps/{sweep}/members.csv",
        style=STYLE,
    output:
        pdf="<results>/{system}/sweeps/{sweep}/sweep_grid.pdf",
        png=report(
            "<results>/{system}/sweeps/{sweep}/sweep_grid.png",
            caption="../report/sweep_grid.rst",
            category="{system}",
            labels={"figure": "sweep {sweep}"},
        ),
        table="<results>/{system}/sweeps/{sweep}/sweep_grid.csv",
    log:
        "<logs>/{system}/sweeps/{sweep}/figure_sweep_grid.log",
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=duration(20),
    params:
        axes=shown_axes,
        source=source_digest("figure_sweep_grid"),
    script:
        "../../scripts/figure_sweep_grid.py"


rule figure_sweep_curves:
    input:
        members="<results>/{system}/sweeps/{sweep}/members.csv",
        style=STYLE,
    output:
        pdf="<results>/{system}/sweeps/{sweep}/sweep_curves.pdf",
        png=report(
            "<results>/{system}/sweeps/{sweep}/sweep_curves.png",
            caption="../report/sweep_curves.rst",
            category="{system}",
            labels={"figure": "sweep {sweep}"},
        ),
        table="<results>/{system}/sweeps/{sweep}/sweep_curves.csv",
    log:
        "<logs>/{system}/sweeps/{sweep}/figure_sweep_curves.log",
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=duration(20),
    params:
        axes=shown_axes,
        source=source_digest("figure_sweep_curves"),
    script:
        "../../scripts/figure_sweep_curves.py"


rule figure_sweep_bars:
    input:
        members="<results>/{system}/sweeps/{sweep}/members.csv",
        style=STYLE,
    output:
        pdf="<results>/{system}/sweeps/{sweep}/sweep_bars.pdf",
        png=report(
            "<results>/{system}/sweeps/{sweep}/sweep_bars.png",
            caption="../report/sweep_bars.rst",
            category="{system}",
            labels={"figure": "sweep {sweep}"},
        ),
        table="<results>/{system}/sweeps/{sweep}/sweep_bars.csv",
    log:
        "<logs>/{system}/sweeps/{sweep}/figure_sweep_bars.log",
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=duration(20),
    params:
        axes=shown_axes,
        source=source_digest("figure_sweep_bars"),
    script:
        "../../scripts/figure_sweep_bars.py"


rule figure_sweep_costs:
    input:
        members="<results>/{system}/sweeps/{sweep}/members.csv",
        style=STYLE,
    output:
        pdf="<results>/{system}/sweeps/{sweep}/sweep_costs.pdf",
        png=report(
            "<results>/{system}/sweeps/{sweep}/sweep_costs.png",
            caption="../report/sweep_costs.rst",
            category="{system}",
            labels={"figure": "sweep {sweep}"},
        ),
        table="<results>/{system}/sweeps/{sweep}/sweep_costs.csv",
    log:
        "<logs>/{system}/sweeps/{sweep}/figure_sweep_costs.log",
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=duration(20),
    params:
        axes=shown_axes,
        source=source_digest("figure_sweep_costs"),
    script:
        "../../scripts/figure_sweep_costs.py"
