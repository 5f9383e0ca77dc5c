"""Writing batches so that nothing is lost: at least once, or exactly once in transactions.

The worker submits batches, collects those that are on the broker, and has the next ones written.
While some are on their way, others are read and scored: librdkafka's threads need no Python.

No verdict is dropped because it cannot be written:

- a record that its topic refuses (too large, a time stamp out of range) becomes a dead letter; a
  dead letter refused likewise is written without the original, which its headers point to;
- a review request that its topic refuses loses the end of its text; if too little is left, it is
  counted and not written. It costs no verdict. Nor is one whose verdict became a dead letter;
- a topic that cannot be written blocks the stream: `blocked` says why, and the records are written
  again, in order, until it heals.
"""
