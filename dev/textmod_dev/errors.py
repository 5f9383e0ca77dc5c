"""The one error of the local cluster."""

from __future__ import annotations


class LocalClusterError(Exception):
    """Something the local cluster needs is missing, taken or broken.

    The message is one sentence for a person: what is wrong, where, and what to do about it. The
    command line prints it and exits 1; nothing else is ever caught there.
    """
