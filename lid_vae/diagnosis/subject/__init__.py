"""What is diagnosed: a model of any make, and what one batch shows of it."""
