"""The fault campaign: break what a cluster breaks, on real processes, and count every message."""
