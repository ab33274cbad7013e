"""What an operator or a program may set, with units, effects and defaults."""
