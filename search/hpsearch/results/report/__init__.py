"""The report of a study: one HTML file for the morning, which works without a network."""
