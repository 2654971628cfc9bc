"""One file on its way to a training file and a holdout."""
