#!/usr/bin/env bash
# Makes what services need that run apart: an authority with a certificate for each of them, tokens for the services
# among themselves and for a first administrator, and the credentials file that admits them.
#
#   deploy/secrets.sh FOLDER [NAME...]
#
# Each certificate is for localhost, 127.0.0.1 and the name of its server (town, gateway, ...), and for the NAMEs
# given, under which the servers are dialled: `town.yizhen.example`, `10.0.0.7`. It needs openssl and yizhen in the path.
set -euo pipefail
umask 077

folder=${1:?usage: deploy/secrets.sh FOLDER [NAME...]}
shift
if [ -e "$folder" ]; then
	echo "$folder is there already; nothing was done" >&2
	exit 1
fi
mkdir -p "$folder/tls" "$folder/tokens"
cd "$folder"

names=DNS:localhost,IP:127.0.0.1
for name in "$@"; do
	case $name in
	*[!0-9.]*) names+=,DNS:$name ;;
	*) names+=,IP:$name ;;
	esac
done
key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc)
openssl req -x509 "${key[@]}" -days 3650 -subj "/CN=Yizhen authority" -keyout tls/ca.key -out tls/ca.pem 2>/dev/null
for server in town project fund assessment access gateway; do
	openssl req "${key[@]}" -subj "/CN=$server" -keyout "tls/$server.key" -out tls/request.pem 2>/dev/null
	printf 'subjectAltName=DNS:%s,%s\nextendedKeyUsage=serverAuth\n' "$server" "$names" >tls/extensions
	openssl x509 -req -in tls/request.pem -CA tls/ca.pem -CAkey tls/ca.key -CAcreateserial -days 365 \
		-extfile tls/extensions -out "tls/$server.pem" 2>/dev/null
done
rm tls/request.pem tls/extensions

# admit NAME DIVISION PERMISSIONS: what comes after the / in the name is the file that the token goes into.
admit() {
	yizhen token "$1" --division "$2" --permission "$3" >entry
	sed -n 's/^# The token, shown once: //p' entry >"tokens/${1#*/}"
	grep -v -e '^#' -e '^principals:' entry >>credentials.yaml
	rm entry
}
echo 'principals:' >credentials.yaml
# A service reads what its decisions rest on, and changes nothing elsewhere. All of them follow access control.
follow='access.*.list,journal.heads.get,journal.changes.list,journal.changes.watch'
admit service/town 000000 "$follow"
admit service/project 000000 "$follow,journal.changes.get"
admit service/fund 000000 "$follow,journal.changes.get,town.holidayCalendars.get"
admit service/assessment 000000 "$follow,*.get,*.list,*.summarize"
admit service/access 000000 "$follow"
admit first/admin 000000 '*'
