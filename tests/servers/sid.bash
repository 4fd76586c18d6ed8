# sid.bash - a private apt root whose only source is Debian's unstable suite.
#
# Sourced by mysql9 and mysqlclient, which fetch what Debian 12 does not have. Sets `cache`
# and defines what follows.
#
# Must never: touch the system's apt or dpkg state.
umask 022

if [ -n "${SCHEMABOT_CACHE:-}" ]; then
	cache=$SCHEMABOT_CACHE
elif [ "$(id -u)" = 0 ]; then
	cache=/var/cache/schemabot # the server's own user could not enter /root
else
	cache=${XDG_CACHE_HOME:-$HOME/.cache}/schemabot
fi

cannot() {
	echo "${0##*/}: $1" >&2
	exit 77
}

# sid_root WORK PACKAGE - make the root in the new directory WORK, and set `version` to
# what the suite has of PACKAGE. WORK/apt.conf is for apt-get -c, WORK/log has its words.
sid_root() {
	local work=$1 package=$2 codename mirror
	local keyring=/usr/share/keyrings/debian-archive-keyring.gpg
	[ -r $keyring ] || cannot "$keyring is missing (package debian-archive-keyring)"
	codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	mirror=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' |
		awk -v suite="$codename" '$1 == suite { print $2; exit }')
	[ -n "$mirror" ] || cannot "no package source for '$codename' is configured; its mirror is used"

	rm -rf "$work"
	mkdir -p "$work"/{state/lists/partial,cache/archives/partial,prefix} || cannot "cannot write to $cache"
	: >"$work/status"
	echo "deb [signed-by=$keyring] $mirror sid main" >"$work/sources.list"
	cat >"$work/apt.conf" <<-END
		#clear APT::Update::Post-Invoke;
		#clear APT::Update::Post-Invoke-Success;
		Dir::State "$work/state";
		Dir::State::status "$work/status";
		Dir::Cache "$work/cache";
		Dir::Etc::sourcelist "$work/sources.list";
		Dir::Etc::sourceparts "/dev/null";
		Dir::Etc::preferences "/dev/null";
		Dir::Etc::preferencesparts "/dev/null";
		APT::Sandbox::User "$(id -un)";
		Acquire::Languages "none";
		Acquire::Retries "2";
		Acquire::http::Timeout "30";
		Acquire::https::Timeout "30";
	END

	# "update" succeeds without an index too, so ask for the version instead of trusting it.
	apt-get -c "$work/apt.conf" -qq update >"$work/log" 2>&1
	version=$(apt-cache -c "$work/apt.conf" policy "$package" 2>>"$work/log" |
		awk '$1 == "Candidate:" { print $2 }')
	case $version in
	9.*) ;;
	'' | '(none)') cannot "the mirror offers no $package: $(tail -n 1 "$work/log")" ;;
	*) cannot "the mirror offers version $version of $package, not 9" ;;
	esac
}

# sid_loader PREFIX FINAL - the loader and the library directories of what was unpacked there, by
# whatever name: sets `loader` (relative) and `libraries` (of `final`, where PREFIX will be).
sid_loader() {
	local final=$2
	loader=$(cd "$1" && find . -name 'ld-linux*.so.*' \( -type f -o -type l \) | sort | head -n 1)
	[ -n "$loader" ] || cannot "the fetched C library has no loader"
	libraries=$(cd "$1" && find . -name '*.so*' -printf '%h\n' | sort -u |
		grep -v -e /plugin -e /gconv -e /mysql-test | sed "s|^\.|$final|" | paste -s -d :)
}
