# Each figure_<name> rule runs scripts/figure_<name>.py; its caption is workflow/report/<name>.rst. The PNG is in the
# report because browsers show it everywhere, while a PDF needs their viewer plugin.


rule figures:
    input:
        collect(
            "<results>/{system}/figures/{figure}.pdf",
            system=SELECTED["systems"],
            figure=[
                "verdicts",
                "implied_timescales",
                "connectivity",
                "convergence",
                "ck_test",
                "vamp2_consistency",
                "learning_curves",
                "vamp2_scores",
                "rates_network",
                "passage_times",
                "stationary_populations",
                "committors",
                "flux_network",
                "passage_times_lags",
                "relaxation",
                "memberships",
                "hmm",
                "reversibility",
                "annotation",
                "state_contacts",
                "observables_on_variables",
                "variables_scatter",
                "encoder_check",
            ],
        ),
        torsion_figures(),
        interpretation_figures(),
        collect(
            "<results>/encoders/{encoder}/pretraining.pdf",
            encoder=glob_wildcards("resources/encoders/{encoder}.csv").encoder,
        ),
