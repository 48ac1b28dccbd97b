package docker

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
)

// A Version holds the first two numbers of the version of a part of Docker.
type Version [2]int

var inVersion = regexp.MustCompile(`^v?(\d+)\.(\d+)`)

// ParseVersion parses versions such as 20.10.24+dfsg1 and v2.40.3-desktop.1.
func ParseVersion(text string) (Version, error) {
	match := inVersion.FindStringSubmatch(text)
	if match == nil {
		return Version{}, fmt.Errorf("%q is not a version", text)
	}
	major, errMajor := strconv.Atoi(match[1])
	minor, errMinor := strconv.Atoi(match[2])
	return Version{major, minor}, errors.Join(errMajor, errMinor)
}

// Before reports whether v is older than other.
func (v Version) Before(other Version) bool {
	return v[0] < other[0] || v[0] == other[0] && v[1] < other[1]
}

func (v Version) String() string { return fmt.Sprintf("%d.%d", v[0], v[1]) }
