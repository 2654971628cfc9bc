"""Hypothesis strategies for answers of a model."""

from __future__ import annotations

import json

from hypothesis import strategies as st

from distillery.evaluation.answers import Answer
from distillery.task.channels import default_channel_config
from tests.unit.sample_evaluations import label

CHANNEL_CONFIG = default_channel_config()
LABELS = st.floats(0, 1).map(lambda first: label(CHANNEL_CONFIG, first))
TEXTS = st.one_of(
    st.none(),
    st.text(max_size=40),
    LABELS.map(json.dumps),
    LABELS.map(lambda weights: f"Sure: {json.dumps(weights)}"),
)
ANSWERS = st.builds(
    Answer,
    query=st.text(max_size=20),
    reference=st.one_of(st.none(), LABELS),
    text=TEXTS,
    latency_ms=st.floats(0, 1e6),
    input_tokens=st.integers(0, 10_000),
    output_tokens=st.integers(0, 10_000),
)
