package journal

import (
	"hash"
	"time"
)

// SetHeartbeat makes watchers hear from the server more often than a test would wait for.
func (s *Server) SetHeartbeat(d time.Duration) { s.heartbeat = d }

// SetStall makes the server lose patience with a watcher sooner than a test would wait for.
func (s *Server) SetStall(d time.Duration) { s.stall = d }

// NewHash is the hash function alone, as standards give examples of.
func NewHash(a Algorithm) hash.Hash { return newHash(a) }

// Signed tells whether the key signed a text, which need not be that of a checkpoint.
func (p *PublicKey) Signed(text, signature []byte) bool { return p.signed(text, signature) }
