"""Distils a large model's channel weights for search queries into a small model on Amazon Bedrock."""

__version__ = "0.2.0.dev0"
