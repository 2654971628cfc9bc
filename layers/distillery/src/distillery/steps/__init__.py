"""What each function does: one module a step, called by the handler of the same name."""
