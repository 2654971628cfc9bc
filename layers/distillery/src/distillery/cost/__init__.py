"""Cost of a run and checks before it starts: prices, cost estimate, preflight checks, model lifecycles."""
