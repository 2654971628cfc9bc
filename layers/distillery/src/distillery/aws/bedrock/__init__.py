"""Bedrock: models, customization jobs, deployments, evaluation jobs, Converse.

Every resource has a name derived from the run, so a repeated request finds the resource that exists.
"""
