#!/bin/sh
# Removes every program from this image but those on the list: keep-only.sh LIST [FOLDER]. What is under FOLDER stays.
# A program is a file that may be executed and is no shared library, wherever it is; the list has names, and they count
# in the folders of PATH only. The last step of a build that needs others.
set -eu
list=$1
folder=${2:-/nonexistent}
folders='/usr/local/sbin /usr/local/bin /usr/sbin /usr/bin' # /sbin and /bin are links to the last two

names=$(sed 's/#.*//' "$list")
kept=$(mktemp)
for name in $names; do
    for in in $folders; do
        path=$in/$name
        if [ -L "$path" ]; then # what it leads to may be called otherwise, as awk's is
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
