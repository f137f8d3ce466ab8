package etcd

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
)

// Limits of a cluster that was started without other ones.
const (
	// DefaultMaxTxnOps is etcd's --max-txn-ops.
	DefaultMaxTxnOps = 128
	// DefaultMaxRequestBytes is etcd's --max-request-bytes.
	DefaultMaxRequestBytes = 3 << 19
)

// Options say where a store is and how it is reached.
type Options struct {
	// Endpoints are the members, as host:port. They are tried in their order, and one is used until it fails.
	Endpoints []string
	// Prefix is the key that all keys of the store begin with. It begins and ends with a slash.
	Prefix string
	// User and Password are those of etcd's own authentication; empty for none.
	User, Password string
	// TLS speaks to the members; nil speaks without.
	TLS *tls.Config
	// MaxTxnOps and MaxRequestBytes are the limits that the cluster was started with; zero means etcd's defaults.
	MaxTxnOps, MaxRequestBytes int
}

// Files name what a URL does not carry.
type Files struct {
	// Authority, Certificate and Key are PEM files: of the authority of the members' certificates, which has them spoken to
	// with TLS, and of a certificate that this program shows them.
	Authority, Certificate, Key string
	// Password is a file that holds the password.
	Password string
}

// Parse reads a URL such as etcd://10.0.0.1:2379,10.0.0.2:2379/yizhen, where yizhen is the prefix. A user may stand before
// the hosts, and in the query max-txn-ops and max-request-bytes, where the cluster has others than etcd's defaults.
func Parse(location string, f Files) (o Options, err error) {
	// Package url takes a single host with a port only.
	scheme, rest, _ := strings.Cut(location, "://")
	authority, path, _ := strings.Cut(rest, "/")
	if scheme != "etcd" {
		return o, fmt.Errorf("store %q: not an URL of etcd, as in etcd://127.0.0.1:2379/yizhen", location)
	}
	user, hosts, found := strings.Cut(authority, "@")
	if !found {
		user, hosts = "", authority
	}
	u, err := url.Parse("etcd://host/" + path)
	if err != nil {
		return o, fmt.Errorf("store %q: %w", location, err)
	}
	if strings.Contains(user, ":") {
		return o, errors.New("store: a password does not belong into a URL, which others see: name a file that holds it")
	}
	o.User, o.Endpoints, o.Prefix = user, strings.Split(hosts, ","), "/"+strings.Trim(u.Path, "/")+"/"
	if o.Prefix == "//" {
		return o, fmt.Errorf("store %q: name the prefix below which the records are, as in etcd://127.0.0.1:2379/yizhen", location)
	}
	if err := o.query(u.Query()); err != nil {
		return o, fmt.Errorf("store %q: %w", location, err)
	}
	if o.TLS, err = f.tls(); err != nil {
		return o, fmt.Errorf("store: %w", err)
	}
	if f.Password != "" {
		secret, err := os.ReadFile(f.Password)
		if err != nil {
			return o, fmt.Errorf("store: %w", err)
		}
		o.Password = strings.TrimSpace(string(secret))
	}
	if (o.User == "") != (o.Password == "") {
		return o, errors.New("store: a user, before the hosts in the URL, and a file with its password belong together")
	}
	return o, nil
}

func (o *Options) query(values url.Values) error {
	for key, list := range values {
		n, err := strconv.Atoi(list[len(list)-1])
		if err != nil || n <= 0 {
			return fmt.Errorf("%s=%s: want a number above 0", key, list[len(list)-1])
		}
		switch key {
		case "max-txn-ops":
			o.MaxTxnOps = n
		case "max-request-bytes":
			o.MaxRequestBytes = n
		default:
			return fmt.Errorf("there is no %s, only max-txn-ops and max-request-bytes", key)
		}
	}
	return nil
}

func (f Files) tls() (*tls.Config, error) {
	if f.Authority == "" && f.Certificate == "" && f.Key == "" {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.Authority != "" {
		pem, err := os.ReadFile(f.Authority)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate in PEM", f.Authority)
		}
	}
	if f.Certificate != "" || f.Key != "" {
		pair, err := tls.LoadX509KeyPair(f.Certificate, f.Key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// Below returns the options of a store one step below the prefix.
func (o Options) Below(name string) Options {
	o.Prefix += name + "/"
	return o
}

// String is the URL without secrets.
func (o Options) String() string { return "etcd://" + strings.Join(o.Endpoints, ",") + o.Prefix }

func (o Options) complete() (Options, error) {
	if len(o.Endpoints) == 0 {
		return o, errors.New("no member is named")
	}
	for _, e := range o.Endpoints {
		if _, _, err := net.SplitHostPort(e); err != nil {
			return o, fmt.Errorf("member %q: want host:port", e)
		}
	}
	if len(o.Prefix) < 3 || !strings.HasPrefix(o.Prefix, "/") || !strings.HasSuffix(o.Prefix, "/") {
		return o, fmt.Errorf("the prefix %q does not begin and end with a slash, with something in between", o.Prefix)
	}
	if o.MaxTxnOps == 0 {
		o.MaxTxnOps = DefaultMaxTxnOps
	}
	if o.MaxRequestBytes == 0 {
		o.MaxRequestBytes = DefaultMaxRequestBytes
	}
	return o, nil
}
