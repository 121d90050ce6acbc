"""Sweeps over seeds and options: seed ranges, run folders, jobs that fail without hiding the others."""
