"""What everything else stands on: arguments, pages, slabs, random numbers, token buckets and the timer wheel."""
