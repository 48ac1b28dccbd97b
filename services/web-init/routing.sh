#!/bin/sh
# Tells Nginx where to send requests for the application: to every replica that Docker's DNS lists. The image's
# entrypoint runs this before Nginx, so every start of the container begins with this setting. During a deploy, make deploy
# replaces the name with addresses.
set -eu

echo 'server app:8080 resolve max_fails=0;' >/run/nginx/routing.conf

# If a name does not exist yet, Nginx asks again only after two seconds. The application is ready sooner, so visitors would
# get 503 from a site that is up. At the first start, therefore, Nginx is reloaded as soon as the name exists. The time limit
# is for engines without a network, whose DNS takes seconds to answer for an unknown name.
there() { timeout 0.3 getent ahostsv4 app >/dev/null; }
there && exit 0
(
    until there && [ -s /run/nginx/nginx.pid ]; do sleep 0.2; done
    kill -HUP 1
) &
