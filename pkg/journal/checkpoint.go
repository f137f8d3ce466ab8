package journal

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"
	"google.golang.org/protobuf/proto"

	"github.com/yizhen/yizhen/pkg/store"
	journalv1 "github.com/yizhen/yizhen/proto/yizhen/journal/v1"
)

// checkpointPrefix begins the checkpoints: the revision follows in 8 bytes.
const checkpointPrefix = "journal/checkpoint/"

// sm2User is the user id that SM2 signatures are made for: the one that GM/T 0009-2012 sets where none is agreed on.
const sm2User = "1234567812345678"

// CheckpointText returns what is signed of a checkpoint, as the proto sets it out.
func CheckpointText(c *journalv1.Checkpoint) []byte {
	const form = "2006-01-02T15:04:05.000000000Z"
	return fmt.Appendf(nil, "yizhen checkpoint 1\n%s\n%d\n%s:%x\n%s\n", journalOf(c), c.GetRevision(),
		algorithmNames[c.GetHashAlgorithm()], c.GetHash(), c.GetCommitTime().AsTime().UTC().Format(form))
}

// journalOf returns the name of the journal that a checkpoint is of.
func journalOf(c *journalv1.Checkpoint) string {
	journal, _, _ := bytes.Cut([]byte(c.GetName()), []byte("/checkpoints/"))
	return string(journal)
}

// Signer signs checkpoints with a private key.
type Signer struct {
	key    crypto.Signer
	public *PublicKey
}

// Public returns the key that its signatures are checked with.
func (s *Signer) Public() *PublicKey { return s.public }

// ReadSigner reads a private key, as PKCS #8 in PEM: Ed25519, or SM2.
func ReadSigner(text []byte) (*Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, errors.New("journal key: no private key in PEM (PKCS #8)")
	}
	key, err := smx509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("journal key: %w", err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("journal key: it does not sign")
	}
	public, err := identify(signer.Public())
	if err != nil {
		return nil, err
	}
	return &Signer{key: signer, public: public}, nil
}

// Sign signs a checkpoint.
func (s *Signer) Sign(c *journalv1.Checkpoint) (err error) {
	c.SignatureAlgorithm, c.KeyId = s.public.algorithm, s.public.id
	var how crypto.SignerOpts = crypto.Hash(0)
	if s.public.algorithm == journalv1.SignatureAlgorithm_SIGNATURE_ALGORITHM_SM2 {
		how = sm2.NewSM2SignerOption(true, []byte(sm2User))
	}
	c.Signature, err = s.key.Sign(rand.Reader, CheckpointText(c), how)
	return err
}

// PublicKey checks signatures of checkpoints.
type PublicKey struct {
	key       any
	algorithm journalv1.SignatureAlgorithm
	id        string
}

// ReadPublicKey reads a public key, as SubjectPublicKeyInfo in PEM.
func ReadPublicKey(text []byte) (*PublicKey, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, errors.New("public key: no public key in PEM")
	}
	key, err := smx509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	return identify(key)
}

// identify finds out how a key signs, and what it is called.
func identify(key any) (*PublicKey, error) {
	p := &PublicKey{key: key}
	switch k := key.(type) {
	case ed25519.PublicKey:
		p.algorithm = journalv1.SignatureAlgorithm_SIGNATURE_ALGORITHM_ED25519
	case *ecdsa.PublicKey:
		if k.Curve != sm2.P256() {
			return nil, errors.New("journal key: the curve is not SM2's")
		}
		p.algorithm = journalv1.SignatureAlgorithm_SIGNATURE_ALGORITHM_SM2
	default:
		return nil, errors.New("journal key: it is neither Ed25519 nor SM2")
	}
	der, err := smx509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(der)
	p.id = hex.EncodeToString(sum[:8])
	return p, nil
}

// keyID is what checkpoints call a key.
var keyID = regexp.MustCompile(`^[0-9a-f]{16}$`)

// ID returns what checkpoints call the key.
func (p *PublicKey) ID() string { return p.id }

// CheckSignature tells whether one of the keys signed a checkpoint.
func CheckSignature(c *journalv1.Checkpoint, keys ...*PublicKey) error {
	for _, p := range keys {
		if p.id != c.GetKeyId() || p.algorithm != c.GetSignatureAlgorithm() {
			continue
		}
		if !p.signed(CheckpointText(c), c.GetSignature()) {
			return fmt.Errorf("%s: the signature of key %s does not fit", c.GetName(), p.id)
		}
		return nil
	}
	return fmt.Errorf("%s is signed by key %s, which is not among the public keys", c.GetName(), c.GetKeyId())
}

// signed tells whether the key signed a text.
func (p *PublicKey) signed(text, signature []byte) bool {
	switch k := p.key.(type) {
	case ed25519.PublicKey:
		return ed25519.Verify(k, text, signature)
	case *ecdsa.PublicKey:
		return sm2.VerifyASN1WithSM2(k, []byte(sm2User), text, signature)
	}
	return false
}

// NewKey makes a key pair, both in PEM: Ed25519, or SM2.
func NewKey(a journalv1.SignatureAlgorithm) (private, public []byte, err error) {
	var key crypto.Signer
	if a == journalv1.SignatureAlgorithm_SIGNATURE_ALGORITHM_SM2 {
		key, err = sm2.GenerateKey(rand.Reader)
	} else {
		_, key, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		return nil, nil, err
	}
	secret, err := smx509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	open, err := smx509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
		pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: open}), nil
}

// Checkpoint signs the head and keeps it beside the journal. If the head has a checkpoint, that is the answer; of an empty
// journal there is none.
func (db *DB) Checkpoint(ctx context.Context, s *Signer) (c *journalv1.Checkpoint, err error) {
	err = db.store.Update(ctx, func(tx store.Tx) error {
		head, err := db.readHead(tx)
		if err != nil || head.GetRevision() == 0 {
			c = nil
			return err
		}
		if c, err = checkpointAt(tx, head.GetRevision()); !errors.Is(err, store.ErrNotFound) {
			return err
		}
		c = &journalv1.Checkpoint{
			Name:          fmt.Sprintf("%s/checkpoints/%d", db.name(), head.GetRevision()),
			Revision:      head.GetRevision(),
			Hash:          head.GetHash(),
			HashAlgorithm: head.GetHashAlgorithm(),
			CommitTime:    head.GetCommitTime(),
		}
		if err := s.Sign(c); err != nil {
			return err
		}
		return putMessage(tx, checkpointKey(c.GetRevision()), c)
	})
	return c, err
}

func checkpointKey(revision int64) []byte {
	return append([]byte(checkpointPrefix), revisionBytes(revision)...)
}

func checkpointAt(r store.Reader, revision int64) (*journalv1.Checkpoint, error) {
	raw, err := r.Get(checkpointKey(revision))
	if err != nil {
		return nil, err
	}
	return decodeCheckpoint(raw, revision)
}

func decodeCheckpoint(raw []byte, revision int64) (*journalv1.Checkpoint, error) {
	c := &journalv1.Checkpoint{}
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(raw, c); err != nil {
		return nil, &CorruptError{Revision: revision, Problem: "has a checkpoint that cannot be read: " + err.Error()}
	}
	return c, nil
}

// newestCheckpoint returns the last checkpoint; a nil one if there is none.
func newestCheckpoint(r store.Reader) (*journalv1.Checkpoint, error) {
	for e, err := range r.Scan([]byte(checkpointPrefix), store.PrefixEnd([]byte(checkpointPrefix)), store.Descending) {
		if err != nil {
			return nil, err
		}
		return decodeCheckpoint(e.Value, revisionOf(e.Key[len(checkpointPrefix):]))
	}
	return nil, nil
}

// Checkpoints returns up to limit checkpoints after a revision, in order.
func (db *DB) Checkpoints(ctx context.Context, after int64, limit int) (found []*journalv1.Checkpoint, err error) {
	err = db.View(ctx, func(r store.Reader) error {
		found = nil
		for e, err := range r.Scan(checkpointKey(after+1), store.PrefixEnd([]byte(checkpointPrefix)), store.Ascending) {
			if err != nil || len(found) == limit {
				return err
			}
			c, err := decodeCheckpoint(e.Value, revisionOf(e.Key[len(checkpointPrefix):]))
			if err != nil {
				return err
			}
			found = append(found, c)
		}
		return nil
	})
	return found, err
}
