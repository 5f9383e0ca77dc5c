"""What the bytes of a message mean: decoders to texts, encoders from scores, headers.

Pure but for schema_registry, which asks a registry for schemas. A decoder or an encoder is one file
in `decoders` or `encoders` with one value, FORMAT; `catalog` finds it there. Nothing that a user
wrote goes into a refusal's message, a log or a header: refusals say what is wrong and where.
"""
