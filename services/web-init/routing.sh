#!/bin/sh
# Writes down for Nginx where requests for the application go: to every replica that Docker's DNS names. The image's
# entrypoint runs this before Nginx, so a container that starts anew is always back here; make deploy puts addresses in
# the place of the name for as long as it works.
set -eu

echo 'server app:8080 resolve max_fails=0;' >/run/nginx/routing.conf

# For a name that is not there Nginx asks again after two seconds, and the application is ready in less: its visitors
# would get 503 from a site that is up. So at the first start Nginx is told as soon as the name is there. The time limit is
# for engines without a network, whose DNS thinks about a name that it does not know for seconds.
there() { timeout 0.3 getent ahostsv4 app >/dev/null; }
there && exit 0
(
    until there && [ -s /run/nginx/nginx.pid ]; do sleep 0.2; done
    kill -HUP 1
) &
