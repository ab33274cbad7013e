"""All tests: unit, property and interop."""
