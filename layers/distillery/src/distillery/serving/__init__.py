"""How one query is answered."""
