"""Figures 3 and 4 of the paper and its theorem, from the closed forms of classical models, beside trained models."""
