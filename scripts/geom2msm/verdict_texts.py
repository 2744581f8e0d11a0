"""What each check of the verdict table asks, and what to do for each verdict, in one sentence."""

QUESTIONS = {
    "lag": "Is the lag time long enough for flat timescales, and no longer than needed?",
    "CK test": "Does the model predict what is estimated at longer times?",
    "connectivity": "Does the model use all the data?",
    "number of states": "Does a gap between timescales speak for so many states?",
    "equilibrium": "Are the trajectories those of a system in equilibrium?",
    "relaxation": "Do correlation functions relax as the model says?",
    "visits": "Was every state entered and left often enough to quote rates?",
    "convergence": "Would less data have given the same timescales and populations?",
    "training": "Were the networks trained to the end, and do they find more than the baseline?",
    "agreement of seeds": "Do networks of other seeds and folds find the same slow variables?",
    "encoder check": "Does the pretrained encoder know this molecule?",
    "VAMP-2 consistency": "Do the score and the timescales tell the same story?",
    "interpretation": "Do the ways of asking which residues matter agree, and differ from an untrained control?",
}

# The figure that shows what the number is about.
FIGURES = {
    "lag": "implied_timescales",
    "CK test": "ck_test",
    "connectivity": "connectivity",
    "number of states": "memberships",
    "equilibrium": "reversibility",
    "relaxation": "relaxation",
    "visits": "stationary_populations",
    "convergence": "convergence",
    "training": "learning_curves",
    "agreement of seeds": "vamp2_scores",
    "encoder check": "encoder_check",
    "VAMP-2 consistency": "vamp2_consistency",
    "interpretation": "token_importance",
}

ACTIONS = {
    "lag": {
        "pass": "Keep msm.lag_ps, and quote it with every rate.",
        "warn": "Set msm.lag_ps to the shortest lag from which the timescales are flat, or say which are not resolved.",
        "fail": "Add longer lags to msm.scan_lags_ps; if nothing gets flat, bring more data or better variables.",
        "not estimable": "Add shorter lags to msm.scan_lags_ps, or bring more data; until then no lag can be defended.",
    },
    "CK test": {
        "pass": "Nothing to do: rates and populations may be quoted at this lag.",
        "warn": "See the reason: deviations ask for a longer lag or more microstates, large errors for more data.",
        "fail": "Quote no rates: lengthen msm.lag_ps or raise msm.n_microstates until the test passes.",
        "not estimable": "See the reason; shorten msm.lag_ps, lower msm.n_microstates or bring longer trajectories.",
    },
    "connectivity": {
        "pass": "Nothing to do: connectivity.csv lists what was dropped, if anything.",
        "warn": "See in connectivity.csv what was dropped, and say so where you quote populations.",
        "fail": "Lower msm.n_microstates or bring trajectories that go back and forth between the sets.",
        "not estimable": "Lower msm.n_microstates or shorten msm.lag_ps: so far there is no model to judge.",
    },
    "number of states": {
        "pass": "Nothing to do: the states are separated by slower processes than any within them.",
        "warn": "Say why so many states, or set msm.n_macrostates to a number with a clear gap, if there is one.",
        "fail": "See the reason; everything here is about the states found, and about no others.",
        "not estimable": "See the reason; another msm.n_macrostates or more data may help.",
    },
    "equilibrium": {
        "pass": "Nothing to do: nothing in the data contradicts the reversible estimate.",
        "warn": "Compare reversible and non-reversible numbers, and say which ones you quote.",
        "fail": "Quote no populations: the data contradict detailed balance; bring longer ones from equilibrium.",
        "not estimable": "See the reason; change msm.n_microstates, or bring longer trajectories.",
    },
    "relaxation": {
        "pass": "Nothing to do: what an experiment would see is what the model predicts.",
        "warn": "Look at the curves that deviate before you compare with an experiment.",
        "fail": "Quote no relaxation: lengthen msm.lag_ps, or raise msm.n_microstates.",
        "not estimable": "See the reason; lower msm.n_microstates, or bring longer trajectories.",
    },
    "visits": {
        "pass": "Nothing to do: there are events enough to quote rates, once lag and CK test pass.",
        "warn": "Start new trajectories from the states named, and quote their rates as orders of magnitude only.",
        "fail": "Quote no rate and no population of the states named: start new trajectories from them.",
        "not estimable": "See sampling.csv for what could be counted.",
    },
    "convergence": {
        "pass": "Nothing to do: more data of the same kind would narrow the intervals, not move them.",
        "warn": "Bring more trajectories, or call the numbers converged within the spread that the figure shows.",
        "fail": "Quote no numbers yet: they still drift with the amount of data.",
        "not estimable": "See the reason; lower msm.n_microstates, or bring more trajectories.",
    },
    "training": {
        "pass": "Nothing to do: training stopped because nothing more came, with more than the baseline found.",
        "warn": "See the learning curves; raise max_epochs, lower batch_pairs, or raise learning_rate.",
        "fail": "Use the baseline's model, or train longer and on more data: so far the networks learned too little.",
        "not estimable": "Give both models one lag_ps, and the baseline no more dimensions than the model has.",
    },
    "agreement of seeds": {
        "pass": "Nothing to do: the slow variables do not depend on the run that was chosen.",
        "warn": "Lower the model's dimensions (of kind spib: initial_states), or train more seeds and longer.",
        "fail": "Trust no single member: lower dimensions (kind spib: initial_states), train longer, bring more data.",
        "not estimable": "Ask for two seeds or two folds in the split section.",
    },
    "encoder check": {
        "pass": "Nothing to do: the encoder recognizes molecules of this kind.",
        "warn": "Read the causes named; compare with another encoder before you interpret tokens.",
        "fail": "Read the causes named and choose another encoder.",
        "not estimable": "Nothing to do: the model does not use the encoder.",
    },
    "VAMP-2 consistency": {
        "pass": "Nothing to do: the score that was optimized is the one that the timescales imply.",
        "warn": "Look at the figure: a score above what is implied comes from functions that no state resolves.",
        "fail": "Trust the timescales, not the score: raise msm.n_microstates or lower the model's dimensions.",
        "not estimable": "See the reason; without it a high score proves nothing.",
    },
    "interpretation": {
        "pass": "Nothing to do: residues may be named as important, with the method.",
        "warn": "Name no single residue as important unless all methods do.",
        "fail": "Leave importance out of the paper: methods disagree, or an untrained network says the same.",
        "not estimable": "Nothing to do where the model has no tokens; else see the reason.",
    },
}  # fmt: skip
