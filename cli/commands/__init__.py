"""The commands, one module a group. A command reads its options, calls a function and prints the result."""
