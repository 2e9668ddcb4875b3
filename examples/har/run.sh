#!/bin/sh
# Compiles the activity network to C and lets it watch recordings: sh examples/har/run.sh
set -eu
cd "$(dirname "$0")/../.."
scripts/setup.sh demo
exec "${VENV:-.venv}/bin/python" examples/har/watch.py
