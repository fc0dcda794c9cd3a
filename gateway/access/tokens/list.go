package tokens

import (
	"maps"
	"slices"
)

// A Summary is a token with its logins.
type Summary struct {
	Token
	Logins []LoginUse
	Used   Use // the last one of the token and of its logins
}

// LoginUse is a login and its last use.
type LoginUse struct {
	Login
	Used Use
}

// Summaries returns the tokens of a file in the order in which they were made. used is
// the last use of each token and login, by ID.
func (f *File) Summaries(used map[string]Use) (all []Summary) {
	logins := map[string][]LoginUse{}
	for _, l := range f.Logins {
		logins[l.Token] = append(logins[l.Token], LoginUse{l, used[l.ID]})
	}
	for _, t := range f.Tokens {
		s := Summary{Token: t, Logins: logins[t.ID], Used: used[t.ID]}
		for _, l := range s.Logins {
			if l.Used.At.After(s.Used.At) {
				s.Used = l.Used
			}
		}
		all = append(all, s)
	}
	return all
}

// Summaries returns the tokens as they are now; logins that have expired are left out.
func (s *Store) Summaries() []Summary {
	s.mu.RLock()
	file, entries := s.file, slices.Collect(maps.Values(s.entries))
	s.mu.RUnlock()
	ended := map[string]bool{}
	for _, e := range entries {
		ended[e.id] = e.Valid.Err() != nil
	}
	all := file.Summaries(s.used.all())
	for i := range all {
		all[i].Logins = slices.DeleteFunc(all[i].Logins, func(l LoginUse) bool { return ended[l.ID] })
	}
	return all
}
