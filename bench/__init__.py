"""Measurements: instructions per call (instr), times (wall), memory."""
