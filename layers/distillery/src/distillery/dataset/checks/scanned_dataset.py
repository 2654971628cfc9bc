"""The input of every check."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from distillery.dataset.scan import KeptRecords, Scan
    from distillery.dataset.statistics import Statistics
    from distillery.task.channels import ChannelConfig


class ScannedDataset(NamedTuple):
    """A dataset after its first pass. `clusters` holds the query keys of each cluster of near-duplicates."""

    scan: Scan
    channel_config: ChannelConfig
    statistics: Statistics
    clusters: Collection[Sequence[bytes]] = ()

    @property
    def kept(self) -> KeptRecords:
        """The records that the scan kept."""
        return self.scan.kept
