"""Mixers: from the tokens of one frame to the d outputs that a kinetic model scores.

Every output is invariant under rotations and reflections of the frame (rotations only where a mixer is asked to be
chiral), and depends on nothing but this frame: there are no statistics over a batch, and the standardization is fixed
from training data and saved with the weights.
"""
