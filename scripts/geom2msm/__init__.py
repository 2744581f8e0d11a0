"""From molecular-dynamics trajectories to Markov state models through the tokens of a pretrained geometric graph network."""
