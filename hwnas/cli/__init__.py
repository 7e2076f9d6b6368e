"""The command line: one file a group of commands, nothing in it that a library user would miss."""
