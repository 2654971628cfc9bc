"""The Bedrock emulator: the wire protocol, rules and job states of Amazon Bedrock, with real training."""
