#!/bin/sh
# Prepares this machine for the make targets; safe to run again, and quick when there is nothing to do.
#
#   scripts/setup.sh demo      virtual environment and bnn2c in it; a C compiler (from PyPI when the machine has none)
#   scripts/setup.sh test      the same with everything that the tests import, and the cross toolchains through apt
#   scripts/setup.sh prove     Frama-C, for make prove
#
# Variables: PYTHON (interpreter to start from, default python3), VENV (default .venv),
#            BNN2C_NO_APT=1 (never install system packages, only say what is missing),
#            BNN2C_LOCKED=1 (test: the versions of scripts/test.lock, checked by their hashes; what CI uses).
set -eu

kind=${1:-demo}
python=${PYTHON:-python3}
venv=${VENV:-.venv}
lock=scripts/test.lock
cd "$(dirname "$0")/.."

say() { printf '==> %s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 4; }

# as_root COMMAND...: run it as root when that is possible without a password; otherwise fail.
as_root() {
  [ -z "${BNN2C_NO_APT:-}" ] || return 1
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    sudo -n "$@"
  else
    return 1
  fi
}

# apt_install PACKAGE...: quiet; the end of the log is shown when it fails.
updated=
apt_install() {
  command -v apt-get >/dev/null 2>&1 || return 1
  as_root true || return 1
  log=$(mktemp)
  say "installing with apt: $*"
  if [ -z "$updated" ]; then
    as_root apt-get update -q >"$log" 2>&1 || true
    updated=yes
  fi
  if as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >>"$log" 2>&1; then
    rm -f "$log"
  else
    tail -n 3 "$log" >&2
    rm -f "$log"
    return 1
  fi
}

check_python() {
  command -v "$python" >/dev/null 2>&1 || apt_install python3 python3-venv ||
    fail "Python is missing; install it: sudo apt-get install python3 python3-venv"
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    fail "bnn2c needs Python 3.10 or newer, $python is $("$python" -V 2>&1); name another one: make PYTHON=python3.12 $kind"
}

make_venv() {
  [ ! -x "$venv/bin/pip" ] || return 0
  say "making the virtual environment $venv"
  [ ! -e "$venv/pyvenv.cfg" ] || rm -rf "$venv"
  # Debian and Ubuntu ship venv without pip until python3-venv is installed.
  "$python" -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv ||
    fail "Python's venv module is missing; install it: sudo apt-get install python3-venv"
  "$python" -m venv "$venv"
}

# install_bnn2c EXTRA: unless the environment already has it for this pyproject.toml.
install_bnn2c() {
  stamp="$venv/.bnn2c-$1-$(cat pyproject.toml "$lock" | cksum | cut -d ' ' -f 1)${BNN2C_LOCKED:+-locked}"
  [ ! -e "$stamp" ] || return 0
  if [ "$1" = test ] && [ -n "${BNN2C_LOCKED:-}" ]; then
    install_locked
    return 0
  fi
  say "installing bnn2c and its Python packages ($1) into $venv"
  "$venv/bin/python" -m pip install -qq --disable-pip-version-check -e ".[$1]" ||
    fail "pip could not install the Python packages; see its message above"
  : >"$stamp"
}

# install_locked: exactly the versions and files of the lock, nothing from elsewhere, not even to build bnn2c itself.
install_locked() {
  say "installing the Python packages of $lock into $venv"
  "$venv/bin/python" -m pip install -qq --disable-pip-version-check --require-hashes -r "$lock" &&
    "$venv/bin/python" -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e . ||
    fail "pip could not install the locked Python packages; see its message above"
  : >"$stamp"
}

host_compiler() {
  for compiler in "${CC:-cc}" gcc clang; do
    if command -v "$compiler" >/dev/null 2>&1; then return 0; fi
  done
  "$venv/bin/python" -c 'import ziglang' 2>/dev/null && return 0
  say "no C compiler on this machine: installing the one in the Python package ziglang"
  "$venv/bin/python" -m pip install -qq --disable-pip-version-check ziglang ||
    fail "no C compiler; install one: sudo apt-get install gcc libc6-dev"
}

# The tools of the tests: something that is there when the package is, and the package.
tools() {
  cat <<'TABLE'
gcc gcc
g++ g++
/usr/include/stdio.h libc6-dev
clang clang
valgrind valgrind
cppcheck cppcheck
arm-none-eabi-gcc gcc-arm-none-eabi
/usr/include/newlib/stdio.h libnewlib-arm-none-eabi
qemu-system-arm qemu-system-arm
riscv64-unknown-elf-gcc gcc-riscv64-unknown-elf
/usr/lib/picolibc/riscv64-unknown-elf picolibc-riscv64-unknown-elf
qemu-aarch64 qemu-user
aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu
/usr/aarch64-linux-gnu/include/stdio.h libc6-dev-arm64-cross
arm-linux-gnueabihf-gcc gcc-arm-linux-gnueabihf
/usr/arm-linux-gnueabihf/include/stdio.h libc6-dev-armhf-cross
powerpc-linux-gnu-gcc gcc-powerpc-linux-gnu
/usr/powerpc-linux-gnu/include/stdio.h libc6-dev-powerpc-cross
TABLE
  # A package of its own in newer releases.
  if apt-cache show qemu-system-riscv >/dev/null 2>&1; then
    echo qemu-system-riscv32 qemu-system-riscv
  else
    echo qemu-system-riscv32 qemu-system-misc
  fi
  # clang's sanitizer runtimes are a package of their own, named after the version.
  if command -v clang >/dev/null 2>&1; then
    version=$(clang -dumpversion | cut -d . -f 1)
    echo "$(clang -print-resource-dir)/lib libclang-rt-$version-dev"
  fi
}

missing_packages() {
  tools | while read -r tool package; do
    [ -e "$tool" ] || command -v "$tool" >/dev/null 2>&1 || printf '%s ' "$package"
  done
}

# Two rounds: what the first installs can reveal more (clang's version). All at once, else each on its own.
# shellcheck disable=SC2086 # $packages is a list of words
toolchains() {
  for _ in 1 2; do
    packages=$(missing_packages)
    [ -n "$packages" ] || return 0
    apt_install $packages || for package in $packages; do apt_install "$package" || true; done
  done
  packages=$(missing_packages)
  [ -z "$packages" ] || say "missing, so that some tests are skipped; install: sudo apt-get install $packages"
}

case $kind in
  demo | test) ;;
  prove)
    command -v frama-c >/dev/null 2>&1 || apt_install frama-c-base ||
      fail "Frama-C is missing; install it: sudo apt-get install frama-c-base"
    exit 0
    ;;
  *) fail "usage: scripts/setup.sh demo|test|prove" ;;
esac
check_python
make_venv
if [ "$kind" = demo ]; then
  install_bnn2c verify
  host_compiler
else
  install_bnn2c test
  toolchains
fi
