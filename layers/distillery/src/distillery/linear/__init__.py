"""The linear model: small enough for any function, and explainable."""
