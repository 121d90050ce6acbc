"""Figures and tables: what a reader of the paper compares."""
