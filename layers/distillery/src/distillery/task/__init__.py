"""The task given to a model: channel configuration, prompts, weights, and reading the answers."""
