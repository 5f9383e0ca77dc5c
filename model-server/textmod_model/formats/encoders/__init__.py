"""Formats of verdicts, one file each, with one value FORMAT."""
