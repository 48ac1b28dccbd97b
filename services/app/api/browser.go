package api

import "strings"

// browserOf describes, in a few fixed words, the kind of browser that sent this User-Agent, so that its user recognises
// it. The header itself is not shown, since a client can put anything into it.
func browserOf(userAgent string) string {
	first := func(known []string) string {
		for i := 0; i < len(known); i += 2 {
			if strings.Contains(userAgent, known[i]) {
				return known[i+1]
			}
		}
		return ""
	}
	// The first match counts, since many browsers also use the names of earlier ones.
	program := first([]string{
		"Edg", "Edge", "OPR/", "Opera", "SamsungBrowser/", "Samsung Internet", "Vivaldi/", "Vivaldi", "YaBrowser/", "Yandex Browser",
		"FxiOS/", "Firefox", "Firefox/", "Firefox", "CriOS/", "Chrome", "Chromium/", "Chromium", "HeadlessChrome/", "Chrome", "Chrome/", "Chrome",
		"Safari/", "Safari", "curl/", "curl", "Wget/", "Wget", "python", "Python", "Go-http-client/", "a Go program",
	})
	system := first([]string{
		"iPhone", "iPhone", "iPad", "iPad", "Android", "Android", "CrOS", "ChromeOS", "Windows", "Windows", "Macintosh", "Mac", "Linux", "Linux",
	})
	if program == "" || system == "" {
		return program + system
	}
	return program + " on " + system
}
