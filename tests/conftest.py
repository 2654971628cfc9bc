"""Settings of the property tests.

The suite draws the same examples in every run, so that a run fails because of a change and not by chance.
`pytest --hypothesis-profile=explore` draws new and more examples.
"""

from hypothesis import settings

settings.register_profile("suite", derandomize=True, deadline=None)
settings.register_profile("explore", max_examples=1_000, deadline=None)
settings.load_profile("suite")
