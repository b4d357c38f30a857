"""How the embedded gateway reads requests and writes answers in time."""
