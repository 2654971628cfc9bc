"""The HTML pages of a run: the validation report and the run report."""
