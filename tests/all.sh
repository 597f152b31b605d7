# Sourced by ./bootstrap, whose functions it uses: `bootstrap test`.
# shellcheck shell=sh disable=SC2154

# Devices that sandboxes use, for every user.
open_devices()
{
	for device in "/dev/fuse 10 229" "/dev/net/tun 10 200"; do
		# shellcheck disable=SC2086
		set -- $device
		if [ ! -e "$1" ]; then
			as_root mkdir -p "$(dirname "$1")" || true
			as_root mknod -m 666 "$1" c "$2" "$3" || say "cannot make $1"
		elif [ "$(stat -c %a "$1")" != 666 ]; then
			as_root chmod 666 "$1" || say "cannot open $1 to everybody"
		fi
	done
}

# The end of the highest range in a table of subordinate ids, at least 100000.
next_subid()
{
	awk -F: 'BEGIN { top = 99999 } $2 + $3 - 1 > top { top = $2 + $3 - 1 } END { print top + 1 }' "$1"
}

# One user for each rung of the id-map ladder (tests/as-user).
make_users()
{
	for table in /etc/subuid /etc/subgid; do
		[ -e "$table" ] || as_root touch "$table" || return 0
	done
	for user in sbxtest-sub sbxtest-one; do
		id -u "$user" >/dev/null 2>&1 ||
			as_root useradd -m -s /bin/bash -K SUB_UID_COUNT=0 -K SUB_GID_COUNT=0 "$user" ||
			say "cannot make the user $user"
	done
	id -u sbxtest-sub >/dev/null 2>&1 || return 0
	for table in uid gid; do
		grep -q '^sbxtest-sub:' "/etc/sub$table" && continue
		first=$(next_subid "/etc/sub$table")
		as_root usermod "--add-sub${table}s" "$first-$((first + 65535))" sbxtest-sub ||
			say "cannot give sbxtest-sub a range in /etc/sub$table"
	done
	if grep -q '^sbxtest-one:' /etc/subuid /etc/subgid; then
		as_root sed -i '/^sbxtest-one:/d' /etc/subuid /etc/subgid
	fi
}

# A14: a file that a group is kept out of, and the users in that group.
make_group()
{
	getent group sbxtest-grp >/dev/null || as_root groupadd sbxtest-grp || return 0
	for user in sbxtest-sub sbxtest-one; do
		id -nG "$user" 2>/dev/null | grep -qw sbxtest-grp ||
			as_root usermod -a -G sbxtest-grp "$user" || say "cannot put $user into sbxtest-grp"
	done
	[ -e /var/lib/sbxtest-grp/secret ] && return 0
	as_root mkdir -p /var/lib/sbxtest-grp &&
		echo 'closed to the group' | as_root tee /var/lib/sbxtest-grp/secret >/dev/null &&
		as_root chgrp sbxtest-grp /var/lib/sbxtest-grp/secret &&
		as_root chmod 0705 /var/lib/sbxtest-grp/secret || say "cannot make the file for A14"
}

# debian_root FILE: a small Debian as a tar; made once for all suites.
debian_root()
{
	command -v mmdebstrap >/dev/null 2>&1 || { say "no mmdebstrap: tests on a Debian root are skipped"; return 0; }
	say "making a Debian root"
	if as_root sh "$here/tests/debian-root" "$1" >&2; then
		as_root chmod a+r "$1"
		SBX_TEST_DEBIAN_TAR=$1
		export SBX_TEST_DEBIAN_TAR
	else
		say "cannot make a Debian root: tests on one are skipped"
		as_root rm -f "$1"
	fi
}

# What no test may change on the host, as a listing.
host_state()
{
	(
		find /etc /var/lib/dpkg -xdev -type f -exec sha256sum {} +
		find /etc /usr /var/lib/dpkg -xdev -printf '%p %y %m %U %G %l\n'
		find /usr -xdev -type f -printf '%p %s\n'
	) 2>/dev/null | LC_ALL=C sort >"$1"
}

# stage BUILD NAME: a copy of what tests need, where other users can read it; prints its folder.
stage()
{
	DESTDIR=$tmp/$2 meson install -C "$1" --no-rebuild --quiet >&2 || die "cannot stage $1"
	prefix=$(meson introspect "$1" --buildoptions |
		python3 -c 'import json, sys; print(*(o["value"] for o in json.load(sys.stdin) if o["name"] == "prefix"))')
	mkdir -p "$tmp/$2$prefix"
	cp -R "$here/tests" "$tmp/$2$prefix/"
	chmod -R a+rX "$tmp/$2"
	echo "$tmp/$2$prefix"
}

# suite_build NAME BUILD TIMEOUT-FACTOR: a build for tests/suites.py, staged.
suite_build()
{
	staged=$(stage "$2" "$1") || exit 1
	echo "$1=$2=$staged=$3"
}

# suites BUILD… -- [ARG…]: their logs are the summary's.
suites()
{
	say "testing"
	python3 "$here/tests/suites.py" "$tmp/logs" "$@" || die "the tests were ended"
}

# An ordinary user is asked for the password once, at the start: tests/as-user needs sudo for the
# other rung's user, and nobody may be there when it does.
keep_sudo()
{
	[ "$(id -u)" -ne 0 ] && command -v sudo >/dev/null 2>&1 || return 0
	if [ -t 0 ]; then sudo -v || return 0; fi
	sudo -n -v 2>/dev/null || return 0
	while sudo -n -v 2>/dev/null; do sleep 60; done &
	keeper=$!
}

# The answer of one check that is not meson's.
verdict()
{
	printf '{"name": "%s", "result": "%s"}\n' "$1" "$2" >"$tmp/logs/$1.json"
}

run_tests()
{
	quick=no soak=no keeper=
	for arg in "$@"; do
		shift
		case $arg in
		--soak) soak=yes ;;
		--quick) quick=yes ;;
		*) set -- "$@" "$arg" ;;
		esac
	done
	export PYTHONDONTWRITEBYTECODE=1
	umask 022
	keep_sudo
	open_devices
	make_users
	make_group
	tmp=$(mktemp -d /var/tmp/sbx-test.XXXXXX)
	trap 'rm -rf "$tmp"; [ -z "$keeper" ] || kill "$keeper"' EXIT
	trap 'exit 130' INT TERM HUP
	chmod 755 "$tmp"
	mkdir "$tmp/logs"
	[ -n "${SBX_TEST_DEBIAN_TAR:-}" ] || debian_root "$tmp/debian.tar"

	plain=$(build_dir build)
	sanitized=$(build_dir build-sanitized)
	build "$plain" -Dtests=enabled
	[ "$quick" = yes ] ||
		build "$sanitized" -Dtests=enabled -Db_sanitize=address,undefined -Db_lundef=false

	host_state "$tmp/before"
	plain=$(suite_build plain "$plain" 1)
	if [ "$quick" = no ]; then
		sanitized=$(suite_build sanitized "$sanitized" 3)
	else
		sanitized=
	fi
	suites "$plain" ${sanitized:+"$sanitized"} -- "$@"
	[ "$soak" = no ] || suites "soak=${plain#plain=}" -- --suite soak
	host_state "$tmp/after"
	if diff "$tmp/before" "$tmp/after" >"$tmp/changes"; then
		verdict host-untouched OK
	else
		say "the tests changed the host:"
		head -n 40 "$tmp/changes" >&2
		verdict host-untouched FAIL
	fi
	python3 "$here/tests/summary.py" "$tmp"/logs/*.json
}
