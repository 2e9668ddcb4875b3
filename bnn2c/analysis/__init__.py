"""Value analysis: what a tensor can hold, computed instead of pattern-matched."""
