"""Instructions per call, counted by callgrind, which neighbours and clocks do not disturb."""
