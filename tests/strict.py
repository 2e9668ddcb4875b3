"""The warnings that generated code and the runtime must be free of (DESIGN §6), as errors."""

WARNINGS = (
    *("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wsign-conversion", "-Wshadow", "-Wcast-align"),
    *("-Wcast-qual", "-Wundef", "-Wmissing-prototypes", "-Wvla", "-Wdouble-promotion", "-Werror"),
)
