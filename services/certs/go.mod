module oneserver/certs

go 1.26.0

require (
	github.com/mholt/acmez/v3 v3.1.7
	golang.org/x/crypto/x509roots/fallback v0.0.0-20261030153154-30a33513ff6d
)
