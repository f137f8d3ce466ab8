package journal_test

import (
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/yizhen/yizhen/pkg/journal"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
)

// unhex reads hexadecimal digits as standards print them.
func unhex(t testing.TB, digits string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ToLower(strings.Join(strings.Fields(digits), "")))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What stands before the key itself in a SubjectPublicKeyInfo.
const (
	ed25519Info = "302a 3005 06032b6570 032100"
	sm2Info     = "3059 3013 06072a8648ce3d0201 06082a811ccf5501822d 034200 04"
)

// publicKey reads a key as a verifier does.
func publicKey(t testing.TB, info, key string) *journal.PublicKey {
	t.Helper()
	read, err := journal.ReadPublicKey(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: unhex(t, info+key)}))
	if err != nil {
		t.Fatal(err)
	}
	return read
}

// TestHashesOfTheStandards are the examples of GB/T 32905-2016, appendix A (as of GM/T 0004-2012), and of FIPS 180-4.
func TestHashesOfTheStandards(t *testing.T) {
	for _, c := range []struct {
		a             journal.Algorithm
		message, want string
	}{
		{journal.SM3, "abc", "66c7f0f4 62eeedd9 d1f2d46b dc10e4e2 4167c487 5cf2f7a2 297da02b 8f4ba8e0"},
		{journal.SM3, strings.Repeat("abcd", 16), "debe9ff9 2275b8a1 38604889 c18e5a4d 6fdb70e5 387e5765 293dcba3 9c0c5732"},
		{journal.SHA256, "abc", "ba7816bf 8f01cfea 414140de 5dae2223 b00361a3 96177a9c b410ff61 f20015ad"},
		{journal.SHA256, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "248d6a61 d20638b8 e5c02693 0c3e6039 a33ce459 64ff2167 f6ecedd4 19db06c1"},
	} {
		h := journal.NewHash(c.a)
		h.Write([]byte(c.message))
		if got := hex.EncodeToString(h.Sum(nil)); got != hex.EncodeToString(unhex(t, c.want)) {
			t.Errorf("%v of %q is %s, want %s", c.a, c.message, got, c.want)
		}
	}
}

// known is a change of which the hashes were computed with another implementation: OpenSSL 3.0, over the bytes that docs/journal.md
// lays out, put together by a program of its own.
var known = &journalv1.Change{
	Name: "journals/town/changes/7", Revision: 7, CommitRevision: 8, CommitTime: &timestamppb.Timestamp{Seconds: 1677632400, Nanos: 5},
	Service: "town", Actor: "泽州/li", Method: "/yizhen.town.v1.TownRegistry/UpdateTown", RequestId: "r-7", Resource: "towns/140525-casting",
	Type: journalv1.Change_TYPE_UPDATED, BeforeDigest: []byte(strings.Repeat("\x22", 32)), PreviousHash: []byte(strings.Repeat("\x11", 32)),
	After: &anypb.Any{TypeUrl: "type.googleapis.com/yizhen.town.v1.Town", Value: []byte("\x0a\x14towns/140525-casting")},
}

const (
	knownSHA256 = "8b1bf512c207d67c423053c44a06ee249cff0005e056fa5f93ed0d8e3a54f740"
	knownSM3    = "b2f347f499d1f73df6eae1e8500025237ffd5519f38bfacaf61d6c28b7232a19"
)

func TestHashOfAChangeThatOpenSSLHasToo(t *testing.T) {
	for a, want := range map[journal.Algorithm]string{journal.SHA256: knownSHA256, journal.SM3: knownSM3} {
		if got := hex.EncodeToString(journal.Hash(a, known)); got != want {
			t.Errorf("%v: %s, want %s", a, got, want)
		}
	}
}

// TestSignatureOfTheSM2Standard is the example of GB/T 32918.5-2017, appendix A.2: the message `message digest`, signed for the user
// 1234567812345678.
func TestSignatureOfTheSM2Standard(t *testing.T) {
	number := func(digits string) *big.Int { return new(big.Int).SetBytes(unhex(t, digits)) }
	key := publicKey(t, sm2Info, "09F9DF31 1E5421A1 50DD7D16 1E4BC5C6 72179FAD 1833FC07 6BB08FF3 56F35020"+
		"CCEA490C E26775A5 2DC6EA71 8CC1AA60 0AED05FB F35E084A 6632F607 2DA9AD13")
	signature, err := asn1.Marshal(struct{ R, S *big.Int }{
		number("F5A03B06 48D2C463 0EEAC513 E1BB81A1 5944DA38 27D5B741 43AC7EAC EEE720B3"),
		number("B1B6AA29 DF212FD8 763182BC 0D421CA1 BB9038FD 1F7F42D4 840B69C4 85BBC1AA"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if !key.Signed([]byte("message digest"), signature) {
		t.Error("the signature of the standard does not fit")
	}
	if key.Signed([]byte("message Digest"), signature) {
		t.Error("it fits another message")
	}
}

// TestSignaturesOfRFC8032 are the tests 1 to 3 of RFC 8032, section 7.1.
func TestSignaturesOfRFC8032(t *testing.T) {
	for _, c := range []struct{ public, message, signature string }{
		{"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
			"e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155 5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
		{"3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
			"92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da 085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
		{"fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
			"6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac 18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"},
	} {
		key := publicKey(t, ed25519Info, c.public)
		if !key.Signed(unhex(t, c.message), unhex(t, c.signature)) {
			t.Errorf("the signature of %q does not fit", c.message)
		}
		if key.Signed(unhex(t, c.message+"00"), unhex(t, c.signature)) {
			t.Errorf("the signature of %q fits another message", c.message)
		}
	}
}

// TestCheckpointsThatOpenSSLSigned are the checkpoints of the change above. The Ed25519 key is that of RFC 8032's first test, so
// everybody can sign the same again.
func TestCheckpointsThatOpenSSLSigned(t *testing.T) {
	const sm2Key = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoEcz1UBgi0DQgAESVRmqJiBxOOr07oIUKgbVsrh+RHN
rlVDXmwbdY1w0tXWh4y1yRat7SZzQoqXanzKGlfLJgzmPtaSIz26J6uDdg==
-----END PUBLIC KEY-----
`
	sm2Public, err := journal.ReadPublicKey([]byte(sm2Key))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		key            *journal.PublicKey
		id             string
		hash           journal.Algorithm
		hashed, signed string
		how            journalv1.SignatureAlgorithm
	}{
		{publicKey(t, ed25519Info, "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"), "06e3fd8fda29bb60",
			journal.SHA256, knownSHA256, "e0b00bea24b622c588d2e0beb19ec0cb9a7741e4e033f3aa48fac2cc1bc64870" +
				"c412ce9915947683a3fbd4f205921a7ce3ff346d6723b399618f3dd9dfda2c08", journalv1.SignatureAlgorithm_SIGNATURE_ALGORITHM_ED25519},
		{sm2Public, "9e98f44e60755e19", journal.SM3, knownSM3, "3044022068d6fbf0d832fd23906f7255d6fefebe0db3b173248ea4ebcc9042c885919db0" +
			"02206bf7569b56a7789f271d361ac10ff0af372c2ee6772602ab458ebe0648d2fb57", journalv1.SignatureAlgorithm_SIGNATURE_ALGORITHM_SM2},
	} {
		p := &journalv1.Checkpoint{
			Name: "journals/town/checkpoints/7", Revision: 7, Hash: unhex(t, c.hashed), HashAlgorithm: c.hash,
			CommitTime: timestamppb.New(time.Date(2023, 3, 1, 1, 0, 0, 5, time.UTC)), SignatureAlgorithm: c.how, KeyId: c.id, Signature: unhex(t, c.signed),
		}
		if c.key.ID() != c.id {
			t.Errorf("the key is called %s, want %s", c.key.ID(), c.id)
		}
		if err := journal.CheckSignature(p, c.key); err != nil {
			t.Error(err)
		}
		p.CommitTime.Nanos++
		if journal.CheckSignature(p, c.key) == nil {
			t.Errorf("%v: the signature fits another time", c.how)
		}
	}
}
