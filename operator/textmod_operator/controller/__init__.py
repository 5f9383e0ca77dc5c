"""Triggers, the work queue, one pass as steps, and what runs between passes."""
