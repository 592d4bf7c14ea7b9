// Package greetings knows how people greet.
package greetings

import "strings"

var known = map[string]string{"de": "Hallo", "en": "Hello", "fr": "Bonjour"}

// In is the greeting of the first language of an Accept-Language header that is known.
func In(accepted string) string {
	for _, part := range strings.Split(accepted, ",") {
		language, _, _ := strings.Cut(strings.TrimSpace(part), ";")
		language, _, _ = strings.Cut(language, "-")
		if greeting, found := known[strings.ToLower(language)]; found {
			return greeting
		}
	}
	return known["en"]
}
