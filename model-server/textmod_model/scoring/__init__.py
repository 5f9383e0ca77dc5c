"""The compiled model: texts in, probabilities out, exactly the trained pipeline's. No I/O."""
