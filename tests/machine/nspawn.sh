#!/bin/sh
# Boots Debian with systemd in a container and runs boot.sh in it: nspawn.sh ROOT PROJECT COMMIT PORT. ROOT is made by mmdebstrap; all of
# it may be thrown away. The network is this machine's, with its certificate authorities.
set -eu
root=$1 project=$2 commit=$3 here=$(cd "$(dirname "$0")" && pwd)
cp --dereference /etc/resolv.conf "$root/etc/resolv.conf"
cat >"$root/etc/systemd/system/proof.service" <<UNIT
[Unit]
After=multi-user.target
[Service]
Type=oneshot
Environment=PORT=$4
ExecStart=/bin/sh /machine/boot.sh $commit
StandardOutput=file:/proof/log
StandardError=inherit
ExecStopPost=/bin/systemctl --no-block poweroff
[Install]
WantedBy=default.target
UNIT
mkdir -p "$root/proof" "$root/etc/systemd/system/default.target.wants"
ln -sf ../proof.service "$root/etc/systemd/system/default.target.wants/"
timeout 540 systemd-nspawn --quiet --directory="$root" --register=no --keep-unit --boot \
	--bind-ro="$project:/project" --bind-ro="$here:/machine" --bind-ro=/etc/ssl/certs >/dev/null 2>&1 || true
cat "$root/proof/log"
