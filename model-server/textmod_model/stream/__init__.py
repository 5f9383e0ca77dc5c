"""The stream worker: consumer group, judge, delivery, loop. A message goes one way."""
