"""How activations come in and go out."""
