"""Values that all layers share: addresses, numbers, principals, and reasons why associations end."""
