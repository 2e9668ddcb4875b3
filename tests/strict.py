"""What generated code and the runtime must be free of: warnings, as errors (DESIGN §6), and findings of sanitizers."""

WARNINGS = (
    *("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wsign-conversion", "-Wshadow", "-Wcast-align"),
    *("-Wcast-qual", "-Wundef", "-Wmissing-prototypes", "-Wvla", "-Wdouble-promotion", "-Werror"),
)
UNDEFINED = ("-O0", "-fsanitize=undefined", "-fno-sanitize-recover=all")  # every finding ends the program
# Each access is checked by a call: that finds what inline checks find, and halves the time of the compiler.
_BY_CALLS = "asan-instrumentation-with-call-threshold=0"
_ALL = ("-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
SANITIZE = {"gcc": (*_ALL, "--param", _BY_CALLS), "clang": (*_ALL, "-mllvm", f"-{_BY_CALLS}")}
CHECKED_GCC = ("gcc", *WARNINGS, "-O1", *SANITIZE["gcc"])
