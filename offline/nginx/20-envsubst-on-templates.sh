#!/bin/sh
# Renders /etc/nginx/templates/**.template into the configuration folder, and fills in the environment variables whose names
# match NGINX_ENVSUBST_FILTER (all of them if it is not set). Names and defaults are those of the official image.
set -e

templates=${NGINX_ENVSUBST_TEMPLATE_DIR:-/etc/nginx/templates}
suffix=${NGINX_ENVSUBST_TEMPLATE_SUFFIX:-.template}
output=${NGINX_ENVSUBST_OUTPUT_DIR:-/etc/nginx/conf.d}

[ -d "$templates" ] || exit 0
if [ ! -w "$output" ]; then
    # As in the official image, nginx starts anyway, with the existing configuration.
    echo "$0: ERROR: $templates exists, but $output is not writable" >&2
    exit 0
fi

# envsubst replaces only the variables in this list, and leaves nginx's own variables alone.
variables=$(awk -v filter="${NGINX_ENVSUBST_FILTER:-}" 'BEGIN { for (name in ENVIRON) if (name ~ filter) printf "${%s} ", name }')

find "$templates" -follow -type f -name "*$suffix" | while read -r template; do
    file=$output/${template#"$templates"/}
    file=${file%"$suffix"}
    mkdir -p "$(dirname "$file")"
    [ -n "${NGINX_ENTRYPOINT_QUIET_LOGS:-}" ] || echo "$0: rendering $template to $file"
    envsubst "$variables" <"$template" >"$file"
done
