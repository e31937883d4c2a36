"""What every candidate shares: which operations there are, their order, times and machines, and
how likely a proposal is."""
