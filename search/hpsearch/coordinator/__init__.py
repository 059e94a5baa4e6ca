"""The loop of a search and its parts: what comes next, who works, what is said, what is written down."""
