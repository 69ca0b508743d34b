"""Which tensors are the model, and what the others are."""
