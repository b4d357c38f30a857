"""How much load a deployment takes: calls at set rates, whatever comes back."""
