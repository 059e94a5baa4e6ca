"""The command line: thin click commands, and screens."""
