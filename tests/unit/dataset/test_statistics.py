"""The statistics of a dataset."""

from __future__ import annotations

import pytest

from tests.unit.dataset.datasets import CHANNELS, OTHER_LABEL, good_lines, line, validate


def test_statistics_count_weights_channels_and_lengths() -> None:
    content = good_lines(150) + [line(f"other {n}", OTHER_LABEL) for n in range(50)]
    content += [line("x" * 1_500, None)]
    statistics = validate(content).report.statistics
    assert statistics.weight_bins == [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]
    assert statistics.weight_histograms[CHANNELS[0]] == [0, 0, 0, 50, 0, 0, 0, 150, 0, 0, 0]
    assert statistics.weight_histograms[CHANNELS[2]][0] == 200
    assert statistics.mean_weights[CHANNELS[0]] == pytest.approx(0.6)
    assert statistics.dominant_counts == dict.fromkeys(CHANNELS, 0) | {CHANNELS[0]: 150, CHANNELS[1]: 50}
    assert (statistics.records, statistics.labelled) == (201, 200)
    assert sum(part.queries for part in statistics.query_lengths) == 201
    assert (statistics.query_lengths[-1].up_to, statistics.query_lengths[-1].queries) == (None, 1)
