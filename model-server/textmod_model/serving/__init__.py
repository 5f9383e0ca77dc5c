"""Synchronous calls: REST, gRPC and the process around them."""
