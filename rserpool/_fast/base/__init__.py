"""The lowest layer of the core: arguments, pages, slabs, random numbers, token buckets, policy types, timers."""
