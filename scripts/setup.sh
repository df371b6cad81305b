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
    find_root || fail "installing needs root, and sudo is not here or wants a password. Run this, then this script again: sudo apt-get install$missing_packages"
    say "Installing$missing_packages (Debian packages)"
    renew_packages
    # shellcheck disable=SC2086 # Empty or two words.
    $as_root "$@" || fail "the packages could not be installed; the reason is above"
    missing_packages=
    missing_words=
}

# Sets as_root to what is written before a command so that root runs it.
find_root() {
    if [ "$(id -u)" = 0 ]; then
        as_root=
    elif have sudo && sudo -n true 2>/dev/null; then
        as_root='sudo -n'
    else
        return 1
    fi
}

renew_packages() {
    # shellcheck disable=SC2086 # Empty or two words.
    $as_root apt-get update -qq || say "The list of packages could not be renewed; going on with the one that is there"
}

# take_out FOLDER PACKAGES [FILE...]: the files of Debian packages, or only these, in a folder. Nothing is installed, so no
# service is started and the machine keeps its own.
take_out() {
    taken=$1 taken_packages=$2
    shift 2
    [ "$(cat "$taken/packages" 2>/dev/null)" = "$taken_packages" ] && return
    have apt-get || fail "this script can fetch packages on Debian and its kin only. Put the files of $taken_packages into $taken yourself, as Debian has them, and the name into $taken/packages"
    say "Fetching $taken_packages (Debian packages) into $taken"
    rm -rf "$taken"
    mkdir -p "$taken/fetched"
    fetch_packages "$taken/fetched" "$taken_packages" || {
        find_root && renew_packages
        fetch_packages "$taken/fetched" "$taken_packages"
    } || fail "the packages could not be fetched; the reason is above. \`apt-get update\` may help"
    for package in "$taken"/fetched/*.deb; do
        dpkg-deb --fsys-tarfile "$package" | tar -x -C "$taken" "$@"
    done
    rm -rf "$taken/fetched"
    echo "$taken_packages" >"$taken/packages"
}

# As the user who runs this, who may not be the one that apt-get would rather use.
fetch_packages() {
    # shellcheck disable=SC2086 # A list of words.
    (cd "$1" && apt-get -o APT::Sandbox::User="$(id -un)" download -qq $2)
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
