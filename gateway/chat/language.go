package chat

import (
	"fmt"
	"strconv"
	"strings"
)

// texts are what the room says in its own name, in one language.
type texts struct {
	alone  string // with a nick
	others string // with a nick; the nicks of others follow
	more   string // with how many others there are whose nicks do not fit
}

// languages have the room's texts, by the primary subtag of the language. Errors are for
// whoever writes a client, and in English.
var languages = map[string]texts{
	"en": {"You are %s, alone here", "You are %s; here are", " and %d more"},
	"tr": {"Adınız %s, burada yalnızsınız", "Adınız %s; burada olanlar:", " ve %d kişi daha"},
}

// textsFor returns those in the language that a client prefers, in English if it says
// nothing of the room's languages. accept is its Accept-Language (RFC 9110, section
// 12.5.4).
func textsFor(accept string) texts {
	best, most := "en", 0.0
	for element := range strings.SplitSeq(accept, ",") {
		tag, parameter, weighted := strings.Cut(element, ";")
		primary, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
		if primary == "*" {
			primary = "en" // for any language, the room's default
		}
		weight := 1.0
		if weighted {
			q, _ := strings.CutPrefix(strings.ToLower(strings.TrimSpace(parameter)), "q=")
			var err error
			if weight, err = strconv.ParseFloat(strings.TrimSpace(q), 64); err != nil || weight > 1 {
				continue // an invalid weight is ignored with its language
			}
		}
		if _, ok := languages[primary]; ok && weight > most {
			best, most = primary, weight
		}
	}
	return languages[best]
}

// welcome is the text for a new member: its nick, and the nicks of the others, as
// many as fit.
func (t texts) welcome(nick string, others []*Member) string {
	if len(others) == 0 {
		return fmt.Sprintf(t.alone, nick)
	}
	text := fmt.Sprintf(t.others, nick)
	length := len([]rune(text)) + len([]rune(fmt.Sprintf(t.more, maxMembers)))
	for i, m := range others {
		separator := ", "
		if i == 0 {
			separator = " "
		}
		length += len(separator) + len([]rune(m.nick))
		if length > maxText {
			return text + fmt.Sprintf(t.more, len(others)-i)
		}
		text += separator + m.nick
	}
	return text
}
