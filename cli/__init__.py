"""The command line of a deployed stack, on the local cloud or in an AWS account."""
