"""Gradients of convex functions: Brenier maps, their potentials, activations and inverses."""
