"""Formats of input messages, one file each, with one value FORMAT."""
