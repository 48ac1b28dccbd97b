package api

import "strings"

// browserOf says in a few words of ours what kind of browser sent this User-Agent, so that its user recognises it. The
// header itself is not shown, since anybody can send what they like.
func browserOf(userAgent string) string {
	first := func(known []string) string {
		for i := 0; i < len(known); i += 2 {
			if strings.Contains(userAgent, known[i]) {
				return known[i+1]
			}
		}
		return ""
	}
	// The first match counts, since many browsers also call themselves by the names of earlier ones.
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
