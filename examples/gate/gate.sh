#!/bin/sh
# gate.sh PACKAGE BASE: fails when the program of a Go package can make system calls
# that it could not make at the commit BASE, and writes a report in Markdown.
#
#   SYSGATE  the command, "sysgate" if not set
#   ACCEPT   a file with calls that may be new, one a line; read if it is there
#   REPORT   where the report goes, standard output if not set
set -eu

package=${1:-.}
base=${2:-origin/main}
accept=${ACCEPT:-syscalls.accept}

work=$(mktemp -d)
trap 'git worktree remove --force "$work/base" 2>/dev/null || :; rm -rf "$work"' EXIT
git worktree add --quiet --detach "$work/base" "$base"

# Both are built alike: what differs is the change, not the build.
export CGO_ENABLED=0
(cd "$work/base/$(git rev-parse --show-prefix)" && go build -trimpath -o "$work/old/server" "$package")
go build -trimpath -o "$work/new/server" "$package"

set -- --ignore-drift go --format markdown -o "${REPORT:--}"
if [ -f "$accept" ]; then
	set -- "$@" --accept-file "$accept"
fi
${SYSGATE:-sysgate} gate "$@" "$work/old/server" "$work/new/server"
