#!/bin/sh
# Compiles the language classifier to C and lets it read: sh examples/text/run.sh [SENTENCE...]
set -eu
cd "$(dirname "$0")/../.."
scripts/setup.sh demo
exec "${VENV:-.venv}/bin/python" examples/text/read.py "$@"
