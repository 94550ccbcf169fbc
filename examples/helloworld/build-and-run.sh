#!/bin/sh
# Builds the hello-world program, makes its seccomp profile with sysgate, and runs it
# in a container under that profile:
#
#	build-and-run.sh [docker|podman|runc]
#
# Without an argument it takes the first of these that is installed. runc needs root
# and no image. The profile stays in profile.json of the current directory.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
profile=$PWD/profile.json

engine=${1:-}
if [ -z "$engine" ]; then
	for engine in docker podman runc none; do
		if command -v "$engine" >/dev/null; then
			break
		fi
	done
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/rootfs/proc"
(cd "$here" && CGO_ENABLED=0 go build -o "$work/helloworld" .)
(cd "$here" && go run ../../cmd/sysgate profile -q --format oci -o "$profile" "$work/helloworld")

case $engine in
docker | podman)
	cp "$here/Dockerfile" "$work"
	"$engine" build -q -t sysgate-helloworld "$work"
	"$engine" run --rm --security-opt no-new-privileges --security-opt seccomp="$profile" sysgate-helloworld
	;;
runc)
	cp "$work/helloworld" "$work/rootfs"
	cat >"$work/config.json" <<-END
		{
			"ociVersion": "1.0.2",
			"process": {
				"user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["/helloworld"], "env": ["PATH=/"],
				"noNewPrivileges": true
			},
			"root": {"path": "rootfs", "readonly": true},
			"mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
			"linux": {
				"namespaces": [{"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}],
				"seccomp": $(cat "$profile")
			}
		}
	END
	runc --root "$work/state" run --bundle "$work" "sysgate-helloworld-$$"
	;;
*)
	echo "build-and-run.sh: needs docker, podman or runc, not ${1:-nothing}" >&2
	exit 2
	;;
esac
