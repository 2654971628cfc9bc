"""A local Amazon Bedrock: the real wire protocol, strict rules, states that take time, and real training."""
