"""What the candidates answered, measured, and the verdict."""
