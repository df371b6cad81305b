# Shared by the scripts beside it; not run by itself. Finds out what is missing and installs it where
# that is possible without asking anyone: Debian packages by apt-get, as root or by a sudo that wants
# no password. Elsewhere it says exactly what to install.
# shellcheck shell=sh

rust_wanted=1.95

say() {
    printf '\033[1m==>\033[0m %s\n' "$*"
}

# Plain when nobody looks.
[ -t 1 ] || say() {
    printf '==> %s\n' "$*"
}

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

have() {
    command -v "$1" >/dev/null 2>&1
}

missing_packages=
missing_words=

# need WORDS PACKAGES CHECK [ARGUMENT...]: notes as missing what CHECK does not find.
need() {
    need_words=$1 need_packages=$2
    shift 2
    if ! "$@"; then
        missing_packages="$missing_packages $need_packages"
        missing_words="${missing_words:+$missing_words, }$need_words"
    fi
}

install_missing() {
    if [ -z "$missing_packages" ]; then
        say "Everything that has to be installed is installed"
        return
    fi
    say "Missing: $missing_words"
    if ! have apt-get; then
        fail "this script can install packages on Debian and its kin only. Install these yourself and run it again: $missing_words"
    fi
    # shellcheck disable=SC2086 # A list of words.
    set -- env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $missing_packages
    if [ "$(id -u)" = 0 ]; then
        as_root=
    elif have sudo && sudo -n true 2>/dev/null; then
        as_root='sudo -n'
    else
        fail "installing needs root, and sudo is not here or wants a password. Run this, then this script again: sudo apt-get install$missing_packages"
    fi
    say "Installing$missing_packages (Debian packages)"
    $as_root apt-get update -qq || say "The list of packages could not be renewed; going on with the one that is there"
    # shellcheck disable=SC2086 # Empty or two words.
    $as_root "$@" || fail "the packages could not be installed; the reason is above"
    missing_packages=
    missing_words=
}

check_rust() {
    if ! have cargo || ! have rustc; then
        fail "Rust is not installed. Install Rust $rust_wanted or later, for example as https://rustup.rs says, and run this again"
    fi
    rust_found=$(rustc --version | cut -d' ' -f2)
    rust_older=$(printf '%s\n%s\n' "$rust_wanted" "${rust_found%%-*}" | sort -V | head -n 1)
    if [ "$rust_older" != "$rust_wanted" ]; then
        fail "Rust $rust_found is too old; Bailiwick needs $rust_wanted or later. With rustup: rustup update stable"
    fi
    say "Rust $rust_found is here"
}

# What the build needs besides Rust: a C compiler, and libclang for the bindings to PostgreSQL's own
# grammar.
need_to_build() {
    need 'a C compiler with its standard headers' 'gcc libc6-dev' can_compile_c
    need 'libclang with its headers' 'libclang-dev' has_libclang
}

need_postgres() {
    need 'a PostgreSQL server with psql (Debian also starts a server of its own, which is not used here)' \
        'postgresql postgresql-client' has_postgres
}

can_compile_c() {
    have cc && printf '#include <stdio.h>\n' | cc -E - >/dev/null 2>&1
}

has_libclang() {
    [ -n "${LIBCLANG_PATH:-}" ] && return
    for library in /usr/lib/llvm-*/lib/libclang.so* /usr/lib/*/libclang.so* /usr/lib64/libclang.so* /usr/local/lib/libclang.so*; do
        # The compiler's own headers come with the development package, not with the library.
        if [ -e "$library" ] && has_clang_headers; then
            return 0
        fi
    done
    return 1
}

has_clang_headers() {
    for header in /usr/lib/llvm-*/lib/clang/*/include/stddef.h /usr/lib*/clang/*/include/stddef.h /usr/local/lib/clang/*/include/stddef.h; do
        [ -e "$header" ] && return 0
    done
    return 1
}

has_postgres() {
    have psql || return 1
    [ -n "${BAILIWICK_PG_BIN:-}" ] && return
    have initdb && return
    for program in /usr/lib/postgresql/*/bin/initdb; do
        [ -e "$program" ] && return 0
    done
    return 1
}
