"""The blocking face: threads, forks, interrupts, the end of the interpreter."""
