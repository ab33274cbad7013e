"""The pool registrar: protocol objects wired to transports, clock and configuration."""
