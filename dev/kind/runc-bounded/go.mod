module textmoderation.dev/dev/kind/runc-bounded

go 1.26.0
