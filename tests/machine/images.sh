#!/bin/sh
# Stand-ins of the public images that a project's image and stack need, made of Debian's packages and rclone, for a machine that reaches
# a package index and no registry of images. An image that is there stays. They have the names that the project's files use:
#   images.sh BASE POSTGRES STORE [TEMPORAL]
set -eu
here=$(dirname "$0")
missing() { ! docker image inspect "$1" >/dev/null 2>&1 && ! docker pull --quiet "$1" >/dev/null 2>&1; }
build() { # IMAGE TARGET
	DOCKER_BUILDKIT=1 docker build --quiet --network host --build-arg BASE="$base" --target "$2" --tag "$1" \
		--secret id=ca,src=/etc/ssl/certs/ca-certificates.crt - <"$here/Dockerfile"
}
base=$1
if missing "$base"; then
	work=$(mktemp -d -p /dev/shm)
	trap 'rm -rf "$work"' EXIT
	mmdebstrap --quiet --variant=minbase --mode=root --include=ca-certificates,python3,python3-venv,tini,passwd bookworm "$work/base.tar"
	docker import --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' "$work/base.tar" "$base"
fi
! missing "$2" || build "$2" postgres
! missing "$3" || build "$3" store
[ -z "${4:-}" ] || ! missing "$4" || build "$4" temporal
