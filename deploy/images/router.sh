#!/bin/sh
# Writes what differs from place to place, then becomes nginx.
set -eu
servers=$(awk '$1 == "nameserver" { print ($2 ~ /:/) ? "[" $2 "]" : $2 }' /etc/resolv.conf | tr '\n' ' ')
cat > /tmp/router.place.conf <<PLACE
resolver ${servers:-127.0.0.1} valid=2s ipv6=off;
resolver_timeout 3s;
set \$webhooks http://${WEBHOOKS_ADDRESS:-webhooks:8081};
set \$ingress http://${INGRESS_ADDRESS:-stream-ingress:8082};
PLACE
exec nginx -e stderr -c /etc/trunkline/router.conf
