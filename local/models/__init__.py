"""Local models that emulate the models behind Amazon Bedrock."""
