module textmoderation.dev/dev/kind/pause

go 1.26.0
