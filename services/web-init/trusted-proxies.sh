#!/bin/sh
# Tells Nginx whom to believe about visitors' addresses: the addresses and networks in TRUSTED_PROXIES. The image's
# entrypoint runs this before Nginx, and does not start Nginx if this fails.
set -euf # f: a * in the setting is not expanded to file names

for proxy in ${TRUSTED_PROXIES:-}; do
    case $proxy in
        *[,\;]*) wrong='what separates two is a space' ;;
        *[!0-9a-fA-F.:/]*) wrong='that is neither an address nor a network' ;; # Nginx refuses anything that only looks like one
        */0*) wrong='that is everybody' ;;
        */[0-6] | *.*/7) wrong='that is more than any proxy has, and two such can be everybody' ;; # allowed, since they are private networks: fc00::/7 and 10.0.0.0/8
        *) continue ;;
    esac
    echo "$0: TRUSTED_PROXIES has $proxy, and $wrong: write for example TRUSTED_PROXIES=\"203.0.113.7 2001:db8::/32\" in .env" >&2
    exit 1
done

{
    # shellcheck disable=SC2016 # the variables are Nginx's
    echo 'geo $realip_remote_addr $from_trusted_proxy {'
    echo '    default 0;'
    for proxy in ${TRUSTED_PROXIES:-}; do echo "    $proxy 1;"; done
    echo '}'
    for proxy in ${TRUSTED_PROXIES:-}; do echo "set_real_ip_from $proxy;"; done
} >/run/nginx/trusted-proxies.conf
