# shellcheck shell=bash disable=SC2034
# Settings of the MySQL part. Sourced, never run.
PART=mysql
. "$here/../lib.sh"
MYSQL_PORT=13307
ROOT=$CACHE/mysql/root                           # MySQL and the libraries it needs, unpacked
SOCKET=$RUN/mysql.sock

# It greets: protocol 10, then its version. (A client of its own would be another package.)
greets() {
  local greeting
  { exec 4<> "/dev/tcp/$IP/$MYSQL_PORT"; } 2> /dev/null || return 1
  greeting=$(timeout 5 head -c 12 <&4 | tr -cd '0-9.') || true
  exec 4>&-
  [[ $greeting == *[89].* ]]
}
