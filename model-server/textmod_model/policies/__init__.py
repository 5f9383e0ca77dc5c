"""From scores to actions. Pure: nothing here reads a file, a clock or a network.

A policy set has a version, the digest of its solved form; the action of a verdict is a function of
its scores and of the set that it names, so that any verdict can be replayed.
"""
