"""Measurements: instructions per call (instr), CPU time per call (wall), memory, and whole registrars (system)."""
