"""What simulated deployments say: prose, tokens, tools, embeddings."""
