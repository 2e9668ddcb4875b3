#!/bin/sh
# Compiles the language model to C and lets it write: sh examples/charlm/run.sh [PROMPT] [CHARACTERS] [SEED]
set -eu
cd "$(dirname "$0")/../.."
scripts/setup.sh demo
exec "${VENV:-.venv}/bin/python" examples/charlm/write.py "$@"
