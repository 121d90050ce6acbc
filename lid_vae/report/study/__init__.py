"""What the folders of runs hold: results, configurations, what is missing, and what to call each row."""
