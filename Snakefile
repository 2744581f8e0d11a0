from snakemake.utils import min_version

min_version("9.23")


configfile: "config/config.yaml"


pathvars:
    logs="<results>/logs",
    benchmarks="<results>/benchmarks",


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/resources.smk"
include: "workflow/rules/inputs.smk"
include: "workflow/rules/encoder_inputs.smk"
include: "workflow/rules/model_inputs.smk"
include: "workflow/rules/interpretation_inputs.smk"
include: "workflow/rules/structure_inputs.smk"
include: "workflow/rules/trajectories.smk"
include: "workflow/rules/encoders.smk"
include: "workflow/rules/tokens.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/sweep_inputs.smk"
include: "workflow/rules/sweeps.smk"
include: "workflow/rules/msm.smk"
include: "workflow/rules/kinetics.smk"
include: "workflow/rules/validation.smk"
include: "workflow/rules/interpretation.smk"
include: "workflow/rules/structures.smk"
include: "workflow/rules/figures_models.smk"
include: "workflow/rules/figures_states.smk"
include: "workflow/rules/figures_kinetics.smk"
include: "workflow/rules/figures_dynamics.smk"
include: "workflow/rules/figures_validation.smk"
include: "workflow/rules/figures_sweeps.smk"
include: "workflow/rules/figures_interpretation.smk"
include: "workflow/rules/figures_structures.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/report_inputs.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/papers.smk"


rule all:
    default_target: True
    input:
        rules.figures.input,
        collect("<results>/{system}/msm/{model}/summary.json", zip, **models_of_interest()),
        state_structures(),
        rules.write_report.output,
