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
                "encoder_check",
            ],
        ),
        collect(
            "<results>/encoders/{encoder}/pretraining.pdf",
            encoder=glob_wildcards("resources/encoders/{encoder}.csv").encoder,
        ),
