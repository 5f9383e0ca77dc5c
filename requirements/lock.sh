#!/bin/sh
# Writes the pinned, hashed requirements from pyproject.toml: one resolution for all, then the
# operator's, the model image's and the console's subsets of it, what an image's build trains with, what an ONNX model
# needs beside, and what builds the wheel inside an image. Run it after changing a dependency (`make lock`).
set -eu
cd "$(dirname "$0")/.."
compile() { uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --custom-compile-command "make lock" "$@"; }
compile pyproject.toml --all-extras --output-file requirements/dev.txt
compile pyproject.toml --extra operator --extra aws --constraint requirements/dev.txt --output-file requirements/operator.txt
compile pyproject.toml --extra model --extra aws --constraint requirements/dev.txt --output-file requirements/model.txt
compile pyproject.toml --extra console --extra aws --constraint requirements/dev.txt --output-file requirements/console.txt
compile pyproject.toml --extra model --extra train --constraint requirements/dev.txt --output-file requirements/train.txt
echo onnxruntime | compile - --constraint requirements/dev.txt --output-file requirements/onnx.txt
echo uv | compile - --constraint requirements/dev.txt --output-file requirements/installer.txt
echo hatchling | compile - --constraint requirements/dev.txt --output-file requirements/build.txt
