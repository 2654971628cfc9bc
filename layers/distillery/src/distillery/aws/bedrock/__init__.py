"""Bedrock: models, customization jobs, deployments, evaluation jobs, Converse.

Everything that is created has a name derived from the run, so that creating it again finds what is there.
"""
