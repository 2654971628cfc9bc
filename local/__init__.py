"""The local cloud: one process on one port that any AWS client can be pointed at."""
