"""The scaling law. Pure: no clock, no I/O."""
