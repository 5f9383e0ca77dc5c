"""From a file of labelled texts to an artifact and its report. Nothing that serves imports it."""
