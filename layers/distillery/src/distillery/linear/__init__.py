"""The linear model: small enough to load in any function, and able to explain its answers."""
