"""State machines without input and output: events and the time go in, actions come out."""
