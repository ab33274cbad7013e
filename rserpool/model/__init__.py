"""Values that all layers share: addresses, and how associations end."""
