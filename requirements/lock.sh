#!/bin/sh
# Writes the pinned, hashed requirements from pyproject.toml: one resolution for all, then the
# operator's and the model image's subsets of it. Run it after changing a dependency (`make lock`).
set -eu
cd "$(dirname "$0")/.."
compile() { uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --custom-compile-command "make lock" pyproject.toml "$@"; }
compile --all-extras --output-file requirements/dev.txt
compile --extra operator --constraint requirements/dev.txt --output-file requirements/operator.txt
compile --extra model --constraint requirements/dev.txt --output-file requirements/model.txt
