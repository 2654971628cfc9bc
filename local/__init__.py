"""The local cloud: one process on one port that serves any AWS client."""
