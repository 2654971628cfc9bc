"""What a run is: its states, the moves between them, and the events."""
