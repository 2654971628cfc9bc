"""What a run costs and whether it may start: prices, estimate, preflight checks, model lifecycles."""
