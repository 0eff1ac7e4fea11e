#!/bin/sh
# On a machine with systemd, as root: boot.sh COMMIT. Installs the release from /project, publishes a day, kills each service with
# SIGKILL and publishes another day each time. What is said goes to standard output; the last line is "survived".
set -eu
name=flight-marts home=/opt/flight-marts/current
mkdir -p /etc/$name
printf 'APP_ENV=dev\nDAGSTER_PORT=%s\n' "$PORT" >/etc/$name/settings
sh /project/deploy/vm/install.sh install "$1" <"/project/dist/$1.tar.gz"
sh /project/deploy/vm/install.sh list
cp -r /project/data $home/
cat >/tmp/publish.sh <<'PUBLISH'
cd /opt/flight-marts/current
until python3 -c "import urllib.request as u; u.urlopen('http://127.0.0.1:$1/server_info')" 2>/dev/null; do sleep 1; done
set -a
. /etc/flight-marts/settings
APP_ROOT=/opt/flight-marts/current
. deploy/local/dagster.env
.venv/bin/python -m flight_marts backfill --from "$2" --to "$2" | grep published
PUBLISH
publish() { setpriv --reuid $name --regid $name --clear-groups sh /tmp/publish.sh "$PORT" "$1"; }
unit() { systemctl show --property "$1" --value $name@dagster; }
publish 2013-01-01
systemctl --no-pager show --property User,ProtectSystem,NoNewPrivileges,CapabilityBoundingSet $name@dagster
touch $home/x 2>/dev/null && setpriv --reuid $name touch $home/y 2>/dev/null && echo "the user writes to the release"
for each in $(pgrep --parent "$(unit MainPID)"); do
	echo "killed: $(tr '\0' ' ' </proc/"$each"/cmdline)"
	kill -9 "$each"
	sleep 3
	publish 2013-01-02
done
main=$(unit MainPID)
echo "killed: the unit's main process"
kill -9 "$main"
until [ "$(unit MainPID)" != "$main" ] && [ "$(unit MainPID)" != 0 ] && systemctl --quiet is-active $name@dagster; do sleep 1; done
publish 2013-01-03
echo "restarts: $(unit NRestarts)"
sh /project/deploy/vm/install.sh rollback "$1"
publish 2013-01-01
systemctl stop $name@dagster
[ -z "$(pgrep --uid $name)" ] && echo survived
