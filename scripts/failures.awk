# Filters the output of go test -v: leaves out the output of tests that passed. The
# command that repeats each failed test is written to the file $REPEATS.
#   how      the command, without -run and packages
#   module   the module's path, which go test writes before each package's
function repeat(pattern, package) {
	sub("^" module "/?", "./", package)
	print how " " (pattern == "" ? "" : "-run='^" pattern "$' ") package > ENVIRON["REPEATS"]
}
# unended prints the output of tests that were running when the program ended.
function unended() {
	for (test in said) { printf "%s", said[test]; delete said[test] }
}
/^=== (RUN|NAME|CONT|PAUSE)/ { test = $3; known[test]; next }
/^panic: |^fatal error: |^WARNING: DATA RACE/ {
	unended()
	raw = 1
}
/^\t\tTest[^ ]+ \(/ && timeout { failed[++n] = $1 } # a test that was running at the timeout
/^panic: test timed out/ { timeout = 1 }
/^ *--- (PASS|FAIL|SKIP|BENCH): / && $3 in known { # other lines come from tests in a virtual machine
	test = $3
	if ($2 == "FAIL:" && $0 ~ /^---/) failed[++n] = test
	if ($2 != "PASS:") { printf "%s", said[test]; print }
	delete said[test]
	next
}
/^FAIL[ \t]+[^ \t]/ {
	unended() # the program ended before these tests
	print
	if (n == 0) repeat("", $2)
	for (i = 1; i <= n; i++) repeat(failed[i], $2)
}
/^(ok|FAIL|\?)[ \t]+[^ \t]/ {
	if ($1 != "FAIL") print
	n = raw = timeout = 0
	split("", known)
	test = ""
	next
}
/^(FAIL|PASS)$/ { next }
raw { print; next }
test != "" { said[test] = said[test] $0 "\n"; next }
{ print }
