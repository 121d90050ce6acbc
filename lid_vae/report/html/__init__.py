"""The report as one HTML page: its data, curves, pictures and layout."""
