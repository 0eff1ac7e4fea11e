# In a container that stands for a machine: install.sh COMMIT. /project is the project; systemctl is a stand-in.
set -e
mkdir -p /etc/flight-marts
printf 'APP_ENV=dev\nDAGSTER_PORT=42931\n' >/etc/flight-marts/settings
printf '#!/bin/sh\necho systemctl "$@"\n' >/usr/bin/systemctl
chmod +x /usr/bin/systemctl
sh /project/deploy/vm/install.sh install "$1" <"/project/dist/$1.tar.gz"
sh /project/deploy/vm/install.sh list
cp -r /project/data /opt/flight-marts/current/
cat >/tmp/services.sh <<'SERVICES'
cd /opt/flight-marts/current
sh deploy/vm/serve.sh dagster &
services=$!
until python3 -c 'import urllib.request as u; u.urlopen("http://127.0.0.1:42931/server_info")' 2>/dev/null; do sleep 1; done
set -a
. /etc/flight-marts/settings
APP_ROOT=/opt/flight-marts/current
. deploy/local/dagster.env
set +a
.venv/bin/python -m flight_marts backfill --from 2013-01-02 --to 2013-01-02
touch /opt/flight-marts/current/x || echo "the release cannot be written to"
kill $services
wait $services
SERVICES
su flight-marts -s /bin/sh -c 'sh /tmp/services.sh'
