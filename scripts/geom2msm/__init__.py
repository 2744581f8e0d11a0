"""From molecular-dynamics trajectories, through tokens of a pretrained graph network, to Markov state models."""
