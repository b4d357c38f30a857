"""How each provider's API writes requests, answers, streams and token counts: JSON in, facts out."""
