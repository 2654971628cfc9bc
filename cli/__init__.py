"""The command `distillery`: works with a stack on the local cloud or in an AWS account."""
