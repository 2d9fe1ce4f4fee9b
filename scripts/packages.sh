# Debian packages that a script needs: need NAME WHY …, then install_needed. Sourced by run and test.
missing=()
whys=()

need() {                                    # need PACKAGE WHY
  dpkg-query -W -f '${Status}' "$1" 2> /dev/null | grep -q 'ok installed' && return 0
  missing+=("$1")
  whys+=("$2")
}

install_needed() {
  [ ${#missing[@]} -gt 0 ] || return 0
  local i sudo=()
  echo "Installing what is missing:" >&2
  for i in "${!missing[@]}"; do printf '  %-22s %s\n' "${missing[$i]}" "${whys[$i]}" >&2; done
  if ! command -v apt-get > /dev/null; then
    echo "This is not Debian or Ubuntu: install the like of these packages yourself, then run this again." >&2
    exit 1
  fi
  [ "$(id -u)" = 0 ] || sudo=(sudo -n)
  # A list of packages that is there already is tried first: it saves a minute.
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null 2>&1 ||
    { "${sudo[@]}" apt-get update -qq &&
      "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null; } || {
      echo "They could not be installed. As root: apt-get install ${missing[*]}" >&2
      exit 1
    }
  missing=() whys=()
}
