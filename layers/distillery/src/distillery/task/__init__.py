"""What is asked of a model: the channel configuration, the prompts, the weights."""
