"""Pretrained equivariant graph networks, frozen, as featurizers of atoms."""
