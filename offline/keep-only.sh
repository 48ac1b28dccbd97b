#!/bin/sh
# keep-only.sh LIST [FOLDER]: removes every program from this image except those on the list and those under FOLDER. A
# program is any executable file that is not a shared library, wherever it is. The list gives names without a folder, and
# keeps only programs in the folders of PATH. This is the last step of a build, because the earlier steps need other
# programs.
set -eu
list=$1
folder=${2:-/nonexistent}
folders='/usr/local/sbin /usr/local/bin /usr/sbin /usr/bin' # /sbin and /bin are links to the last two

names=$(sed 's/#.*//' "$list")
kept=$(mktemp)
for name in $names; do
    for in in $folders; do
        path=$in/$name
        if [ -L "$path" ]; then # its target may have another name (awk's does)
            cp "$(readlink -f "$path")" "$path.new"
            mv "$path.new" "$path"
        fi
        if [ -e "$path" ]; then
            echo "$path" >>"$kept"
        fi
    done
done

{
    find / -xdev -type f -perm /111 ! -name '*.so' ! -name '*.so.*' ! -path "$folder/*"
    # shellcheck disable=SC2086 # a list of folders
    find $folders -type l
} | grep -vxFf "$kept" | xargs -d '\n' rm -f "$kept"
