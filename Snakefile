from snakemake.utils import min_version

min_version("9.23")


configfile: "config/config.yaml"


pathvars:
    logs="<results>/logs",
    benchmarks="<results>/benchmarks",


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/inputs.smk"
include: "workflow/rules/encoder_inputs.smk"
include: "workflow/rules/model_inputs.smk"
include: "workflow/rules/trajectories.smk"
include: "workflow/rules/encoders.smk"
include: "workflow/rules/tokens.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/msm.smk"
include: "workflow/rules/figures_models.smk"
include: "workflow/rules/figures_states.smk"
include: "workflow/rules/figures_kinetics.smk"
include: "workflow/rules/figures.smk"


rule all:
    default_target: True
    input:
        rules.figures.input,
        collect("<results>/{system}/msm/{model}/summary.json", zip, **models_of_interest()),
        state_structures(),
