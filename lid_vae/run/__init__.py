"""A run: planned from a configuration, built, trained, and recorded in its folder."""
