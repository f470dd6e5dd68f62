"""Routing: shipped wordings, the model over what they found, what departments taught, and the decision."""
