# When an update does not get ready, the previous version is put back. scripts/deb inserts
# this file into the package's scripts; scripts/install sources it.

update=/var/lib/gateway-update
services='gateway.service gateway-hub.service' # both run the same program

# broken_off returns whether an update did not come to its end: the version before it is
# kept, and not all services that ran with that run the installed program by now.
broken_off() {
	[ -d $update/previous ] && [ -d /run/systemd/system ] || return 1
	while read -r service; do
		# One that does not get ready is never active, although its program runs.
		systemctl is-active --quiet "$service" || return 0
		cmp -s "/proc/$(systemctl show --property=MainPID --value "$service")/exe" /usr/bin/gateway || return 0
	done <$update/previous/services
	return 1
}

# ran SERVICE returns whether a service runs, or did before an update that was broken off.
ran() {
	systemctl is-active --quiet "$1" || grep -qsx "$1" $update/previous/services
}

# keep FILE... keeps the files of the running version, for go_back, and the names of those
# that do not exist: a unit that scripts/install adds takes precedence over the package's.
# After an update that was broken off it leaves what is kept: the version that worked.
keep() {
	rm -rf $update/incomplete
	! broken_off || return 0
	rm -rf $update/previous
	[ -d /run/systemd/system ] || return 0
	for service in $services; do
		if systemctl is-active --quiet $service; then
			mkdir -p $update/incomplete/files
			echo $service >>$update/incomplete/services
		fi
	done
	[ -d $update/incomplete ] || return 0
	for file; do
		if [ -f "$file" ]; then
			(cd / && cp --parents --preserve "${file#/}" $update/incomplete/files)
		elif [ ! -e "$file" ] && [ ! -L "$file" ]; then # not a masked unit
			echo "$file" >>$update/incomplete/missing
		fi
	done
	mv $update/incomplete $update/previous # a full disk leaves no half of it to go back to
}

# bring_up VERSION SERVICE... starts or restarts the services with the new version, and
# fails if one does not get ready. If another version ran before, it is put back then.
bring_up() {
	version=$1 status=0
	shift
	for service; do
		# This returns when the service is ready or has failed, within its TimeoutStartSec.
		systemctl restart "$service" && continue
		status=1
		if [ ! -d $update/previous ]; then
			echo "gateway: $service did not start; see: journalctl -u ${service%.service}, gateway check" >&2
		elif systemctl restart "$service"; then # the second attempt succeeded
			status=0
		else
			go_back "$version" "$service"
			break
		fi
	done
	# What fails from here on, such as a start with another configuration, is not the update.
	rm -rf $update/previous
	return $status
}

# go_back VERSION SERVICE replaces the files of VERSION, whose SERVICE does not get ready,
# by those of the previous version, and starts the services that ran. The gateway has an
# alarm as long as $update/failed exists.
go_back() {
	why="version $1 did not get ready, twice ($(systemctl show --property=Result --value "$2")); journalctl -u ${2%.service} says why"
	ran=$(cat $update/previous/services)
	# shellcheck disable=SC2086 # a word for each service
	systemctl stop $ran || true
	(cd $update/previous/files && find . -type f) | while read -r file; do
		cmp -s "$update/previous/files/$file" "/$file" && continue
		# A running program cannot be overwritten, only replaced.
		cp --preserve "$update/previous/files/$file" "/$file.previous" && mv "/$file.previous" "/$file"
	done
	if [ -f $update/previous/missing ]; then
		while read -r file; do rm -f "$file"; done <$update/previous/missing
	fi
	mkdir -p $update/failed
	echo "$why" >$update/failed/why
	systemctl daemon-reload
	echo "gateway: $why" >&2
	for service in $ran; do
		if systemctl restart "$service"; then
			echo "gateway: the version before runs again, until another version is installed: $service" >&2
		else
			echo "gateway: the version before does not start any more either; see: journalctl -u ${service%.service}, gateway check" >&2
		fi
	done
}
