"""The embedded gateway's routes: `inference` follows one call; the rest is the management API."""
