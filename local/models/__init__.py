"""Local stand-ins for the models behind Amazon Bedrock."""
