"""How a network is run: one module per engine, the same call behind each."""
