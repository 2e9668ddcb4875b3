#!/bin/sh
# Compiles the keyword spotter to C and lets it listen: sh examples/kws/run.sh
set -eu
cd "$(dirname "$0")/../.."
scripts/setup.sh demo
exec "${VENV:-.venv}/bin/python" examples/kws/listen.py
