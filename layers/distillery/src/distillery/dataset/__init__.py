"""Validates one dataset file and splits it into training and holdout."""
