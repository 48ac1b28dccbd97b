#!/bin/sh
# Renders /etc/nginx/templates/**.template into the configuration folder, with the variables of the environment whose
# names match NGINX_ENVSUBST_FILTER (all, where it is not set) put in. Names and defaults are the official image's.
set -e

templates=${NGINX_ENVSUBST_TEMPLATE_DIR:-/etc/nginx/templates}
suffix=${NGINX_ENVSUBST_TEMPLATE_SUFFIX:-.template}
output=${NGINX_ENVSUBST_OUTPUT_DIR:-/etc/nginx/conf.d}

[ -d "$templates" ] || exit 0
if [ ! -w "$output" ]; then
    # Upstream's choice: nginx starts all the same, with the configuration that is there.
    echo "$0: ERROR: $templates exists, but $output is not writable" >&2
    exit 0
fi

# envsubst replaces the names in this list and leaves nginx' own variables alone.
variables=$(awk -v filter="${NGINX_ENVSUBST_FILTER:-}" 'BEGIN { for (name in ENVIRON) if (name ~ filter) printf "${%s} ", name }')

find "$templates" -follow -type f -name "*$suffix" | while read -r template; do
    file=$output/${template#"$templates"/}
    file=${file%"$suffix"}
    mkdir -p "$(dirname "$file")"
    [ -n "${NGINX_ENTRYPOINT_QUIET_LOGS:-}" ] || echo "$0: rendering $template to $file"
    envsubst "$variables" <"$template" >"$file"
done
