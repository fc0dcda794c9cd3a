package access

import (
	"errors"
	"regexp"
	"strings"
)

var errForwarded = errors.New("not Forwarded as in RFC 7239")

// parseForwarded returns the hops of a line of Forwarded (RFC 7239, section 4):
// elements between commas, each of pairs between semicolons, each a name and a
// value, which may be quoted. A line that is anything else is one unknown hop: a quote
// that a client leaves open could hide what the proxy adds.
func parseForwarded(line string) (hops []hop) {
	for rest := skipBlanks(line); rest != ""; {
		if rest[0] == ',' { // empty elements are allowed (RFC 9110, section 5.6.1.2)
			rest = skipBlanks(rest[1:])
			continue
		}
		var h hop
		var err error
		if h, rest, err = parseElement(rest); err != nil {
			return []hop{{}}
		}
		hops = append(hops, h)
	}
	return hops
}

// parseElement reads an element up to its comma, or the end.
func parseElement(s string) (h hop, rest string, err error) {
	seen := map[string]bool{}
	for {
		if s != "" && s[0] != ';' && s[0] != ',' {
			var name, value string
			if name, value, s, err = parsePair(s); err != nil {
				return h, "", err
			}
			name = strings.ToLower(name)
			if seen[name] { // section 4: not more than once in an element
				return h, "", errForwarded
			}
			seen[name] = true
			switch name {
			case "for":
				node := parseForwardedNode(value)
				h.addr, h.text = node.addr, node.text
			case "proto":
				h.proto = knownProto(value)
			}
		}
		switch {
		case s == "" || s[0] == ',':
			return h, s, nil
		case s[0] != ';':
			return h, "", errForwarded
		}
		s = s[1:]
	}
}

// parsePair reads name=value, without blanks in it, and the blanks behind it.
func parsePair(s string) (name, value, rest string, err error) {
	name, s = cutToken(s)
	if name == "" || s == "" || s[0] != '=' {
		return "", "", "", errForwarded
	}
	if s = s[1:]; s != "" && s[0] == '"' {
		value, s, err = cutQuoted(s[1:])
	} else if value, s = cutToken(s); value == "" {
		err = errForwarded
	}
	return name, value, skipBlanks(s), err
}

// cutToken cuts s behind the token that it begins with (RFC 9110, section 5.6.2).
func cutToken(s string) (token, rest string) {
	i := 0
	for i < len(s) && isTokenByte(s[i]) {
		i++
	}
	return s[:i], s[i:]
}

func isTokenByte(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", b) >= 0
}

// cutQuoted returns the content of a quoted string, behind its first quote (RFC
// 9110, section 5.6.4).
func cutQuoted(s string) (content, rest string, err error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), s[i+1:], nil
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case c < ' ' && c != '\t' || c == 0x7f || c == '\\':
			return "", "", errForwarded
		default:
			b.WriteByte(c)
		}
	}
	return "", "", errForwarded
}

func skipBlanks(s string) string { return strings.TrimLeft(s, " \t") }

// obfuscatedForm is a port that a proxy hides (RFC 7239, section 6.3).
var obfuscatedForm = regexp.MustCompile(`^(.*):_[A-Za-z0-9._-]+$`)

// parseForwardedNode reads a node (RFC 7239, section 6): an address, where IPv6 has
// brackets, with or without a port. "unknown", an obfuscated identifier and all else
// give the zero hop.
func parseForwardedNode(s string) hop {
	if m := obfuscatedForm.FindStringSubmatch(s); m != nil {
		s = m[1]
	}
	if strings.Count(s, ":") > 1 && !strings.HasPrefix(s, "[") {
		return hop{}
	}
	return parseNode(s)
}
