package etcd_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/yizhen/yizhen/pkg/store"
	"github.com/yizhen/yizhen/pkg/store/etcd"
	"github.com/yizhen/yizhen/pkg/store/etcd/etcdtest"
)

// authority signs certificates for loopback.
type authority struct {
	t      *testing.T
	folder string
	file   string
	self   *x509.Certificate
	key    *ecdsa.PrivateKey
	serial int64
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, folder: t.TempDir()}
	a.file, _ = a.sign("authority", func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true })
	return a
}

// sign makes a certificate and its key and returns their files.
func (a *authority) sign(name string, adjust func(*x509.Certificate)) (certificate, key string) {
	a.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	a.serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	adjust(template)
	if a.self == nil {
		a.self, a.key = template, private
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.self, &private.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		a.t.Fatal(err)
	}
	write := func(suffix, kind string, der []byte) string {
		path := filepath.Join(a.folder, name+suffix)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			a.t.Fatal(err)
		}
		return path
	}
	return write(".pem", "CERTIFICATE", der), write(".key", "PRIVATE KEY", secret)
}

// TestMembersThatWantCertificates has three members that show certificates and want one shown, and a user with a password on
// top. One of the three is lost on the way.
func TestMembersThatWantCertificates(t *testing.T) {
	a := newAuthority(t)
	plain := func(*x509.Certificate) {}
	memberCert, memberKey := a.sign("member", plain)
	cert, key := a.sign("yizhen", plain)
	other := newAuthority(t)
	strangerCert, strangerKey := other.sign("stranger", plain)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(certificateIn(t, a.file))
	c := etcdtest.StartSetup(t, etcdtest.Setup{
		Members: 3, TLS: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12},
		Args: []string{"--cert-file", memberCert, "--key-file", memberKey, "--trusted-ca-file", a.file, "--client-cert-auth"},
	})
	client := c.Client(t)
	ctx := t.Context()
	_, e1 := client.RoleAdd(ctx, "root")
	_, e2 := client.UserAdd(ctx, "root", "root's")
	_, e3 := client.UserGrantRole(ctx, "root", "root")
	_, e4 := client.RoleAdd(ctx, "yizhen")
	_, e5 := client.RoleGrantPermission(ctx, "yizhen", "/yizhen/", clientv3.GetPrefixRangeEnd("/yizhen/"), clientv3.PermissionType(clientv3.PermReadWrite))
	_, e6 := client.UserAdd(ctx, "clerk", "a secret")
	_, e7 := client.UserGrantRole(ctx, "clerk", "yizhen")
	_, e8 := client.AuthEnable(ctx)
	if err := errors.Join(e1, e2, e3, e4, e5, e6, e7, e8); err != nil {
		t.Fatal(err)
	}
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("a secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	url := strings.Replace(c.URL("yizhen"), "etcd://", "etcd://clerk@", 1)
	var wait sync.WaitGroup
	for shows, refused := range map[string]struct {
		files etcd.Files
		want  string
	}{
		"a client without a certificate":             {etcd.Files{Authority: a.file}, "certificate required"},
		"a client with a certificate of a stranger":  {etcd.Files{Authority: a.file, Certificate: strangerCert, Key: strangerKey}, "remote error: tls: "},
		"members that the authority does not answer": {etcd.Files{Authority: other.file, Certificate: cert, Key: key}, "certificate signed by unknown authority"},
		"a client that speaks without TLS":           {etcd.Files{}, "unavailable"},
	} {
		refused.files.Password = password
		o, err := etcd.Parse(url, refused.files)
		if err != nil {
			t.Fatal(err)
		}
		wait.Go(func() {
			soon, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			s, err := etcd.Open(soon, o)
			if err == nil {
				s.Close()
			}
			if err == nil || !strings.Contains(err.Error(), refused.want) {
				t.Errorf("%s: %v, want %q", shows, err, refused.want)
			}
		})
	}
	wait.Wait()
	o, err := etcd.Parse(url, etcd.Files{Authority: a.file, Certificate: cert, Key: key, Password: password})
	if err != nil {
		t.Fatal(err)
	}
	s, err := etcd.Open(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i, member := range []int{-1, 0} {
		if member >= 0 {
			c.Members[member].Kill()
		}
		if err := s.Update(ctx, func(tx store.Tx) error { return tx.Put([]byte{byte('0' + i)}, nil) }); err != nil {
			t.Errorf("without member %d: %v", member, err)
		}
	}
}

func certificateIn(t *testing.T, file string) *x509.Certificate {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(raw)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
