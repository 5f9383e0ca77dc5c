"""What the bytes of a message mean: decoders to texts, encoders from scores. Pure."""
