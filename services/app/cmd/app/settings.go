package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"oneserver/app"
	"oneserver/app/mysql"
)

// settings holds what serve and migrate read from the environment.
type settings struct {
	listen       string
	metrics      string // address to listen on for operators
	domain       string
	dnsAddress   string
	trustedProxy netip.Addr   // the zero Addr if nobody is trusted
	ownNetwork   netip.Prefix // the zero Prefix if unknown
	database     mysql.Config
	passwordFile string
	quotas       app.Quotas
	diskFile     string // read by disk.Gauge
	diskReserve  uint64 // bytes
}

// maxQuota is the largest value of a setting that is a number; ctl/internal/doctor has the same limit.
const maxQuota = 1_000_000

// settingsError lists everything that is wrong with the settings, one fault per line.
type settingsError struct{ error }

// webAddress returns the address at which the reverse proxy speaks TLS, or "" if there is no proxy.
func (s settings) webAddress() string {
	if !s.trustedProxy.IsValid() {
		return ""
	}
	return netip.AddrPortFrom(s.trustedProxy, 443).String()
}

// LogValue shows the effective settings without the password.
func (s settings) LogValue() slog.Value {
	proxy, network := "none", "none"
	if s.trustedProxy.IsValid() {
		proxy = s.trustedProxy.String()
	}
	if s.ownNetwork.IsValid() {
		network = s.ownNetwork.String()
	}
	return slog.GroupValue(
		slog.String("listen", s.listen),
		slog.String("metrics_listen", s.metrics),
		slog.String("domain", s.domain),
		slog.String("dns_address", s.dnsAddress),
		slog.String("trusted_proxy", proxy),
		slog.String("own_network", network),
		slog.String("mysql_address", s.database.Address),
		slog.String("mysql_database", s.database.Database),
		slog.String("mysql_user", s.database.User),
		slog.String("mysql_password", "*** from "+s.passwordFile),
		slog.Any("quotas", s.quotas),
		slog.String("disk_file", s.diskFile),
		slog.Uint64("disk_reserve", s.diskReserve),
	)
}

// readSettings reads and checks all settings, and reports everything that is wrong with them together.
func readSettings(getenv func(string) string) (settings, error) {
	var errs []error
	check := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	required := func(name, meaning string) string {
		value := getenv(name)
		if value == "" {
			check(fmt.Errorf("%s is not set: it is %s", name, meaning))
		}
		return value
	}

	s := settings{
		listen:     listenAddress(getenv),
		metrics:    metricsAddress(getenv),
		domain:     cmp.Or(getenv("DOMAIN"), "foobar.com"),
		dnsAddress: cmp.Or(getenv("DNS_ADDRESS"), "dns:53"),
	}
	check(checkAddress("LISTEN", s.listen, false))
	check(checkAddress("METRICS_LISTEN", s.metrics, false))
	check(checkAddress("DNS_ADDRESS", s.dnsAddress, true))
	if text := getenv("TRUSTED_PROXY"); text != "" {
		proxy, err := netip.ParseAddr(text)
		if err != nil {
			check(fmt.Errorf("TRUSTED_PROXY is %q: it must be one IP address, such as 172.28.0.80", text))
		}
		s.trustedProxy = proxy.Unmap()
	}
	if text := getenv("OWN_NETWORK"); text != "" {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			check(fmt.Errorf("OWN_NETWORK is %q: it must be a network, such as 172.28.0.0/24", text))
		}
		s.ownNetwork = network.Masked()
	}
	s.database.Address = required("MYSQL_ADDRESS", "the database's host:port, such as db:3306")
	if s.database.Address != "" {
		check(checkAddress("MYSQL_ADDRESS", s.database.Address, true))
	}
	s.database.Database = required("MYSQL_DATABASE", "the name of the database")
	s.database.User = required("MYSQL_USER", "the account to use")
	s.passwordFile = required("MYSQL_PASSWORD_FILE", "the path of the file with the account's password")
	if s.passwordFile != "" {
		password, err := readPassword(s.passwordFile)
		check(err)
		s.database.Password = password
	}
	number := func(name string, fallback int) int {
		text := getenv(name)
		if text == "" {
			return fallback
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > maxQuota {
			check(fmt.Errorf("%s is %q: it must be a number from 0, which is no bound, to %d", name, text, maxQuota))
		}
		return n
	}
	s.quotas = app.Quotas{
		AccountPosts:  number("POSTS_PER_ACCOUNT", 0),
		AccountWrites: number("WRITES_A_DAY", 0),
		SiteText:      number("TEXT_A_DAY", 0) * 1000,
		SiteAccounts:  number("ACCOUNTS_A_DAY", 0),
	}
	s.diskFile = cmp.Or(getenv("DISK_FILE"), "/run/disk/free")
	s.diskReserve = uint64(number("DISK_RESERVE", 0)) * 1000 * 1000
	s.database.Quotas = s.quotas
	if len(errs) > 0 {
		return s, settingsError{errors.Join(errs...)}
	}
	return s, nil
}

// listenAddress returns the address to listen on for visitors. healthcheck uses it too.
func listenAddress(getenv func(string) string) string {
	if listen := getenv("LISTEN"); listen != "" {
		return listen
	}
	return ":8080"
}

func checkAddress(name, address string, needHost bool) error {
	host, port, err := net.SplitHostPort(address)
	if err == nil && needHost && host == "" {
		err = errors.New("the host is missing")
	}
	if err == nil {
		if n, perr := strconv.ParseUint(port, 10, 16); perr != nil || needHost && n == 0 {
			err = errors.New("the port must be a number up to 65535")
		}
	}
	if err != nil {
		return fmt.Errorf("%s is %q: it must be host:port: %w", name, address, err)
	}
	return nil
}

func readPassword(file string) (string, error) {
	content, err := os.ReadFile(file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "", fmt.Errorf("MYSQL_PASSWORD_FILE is %s, which does not exist: \"app secrets DIR\" makes it", file)
	case errors.Is(err, os.ErrPermission):
		return "", fmt.Errorf("MYSQL_PASSWORD_FILE is %s, which user %d in group %d may not read: run as the account it was made for",
			file, os.Geteuid(), os.Getegid())
	case err != nil:
		return "", fmt.Errorf("MYSQL_PASSWORD_FILE: %w", err)
	}
	password := strings.TrimRight(string(content), "\r\n")
	if password == "" {
		return "", fmt.Errorf("MYSQL_PASSWORD_FILE is %s, which is empty: remove it and run \"app secrets DIR\"", file)
	}
	return password, nil
}
