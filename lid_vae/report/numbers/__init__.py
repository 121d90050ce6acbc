"""From results to what a table says: means, deviations, tests, and the paper's numbers beside them."""
