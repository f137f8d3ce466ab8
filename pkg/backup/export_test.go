package backup

import "time"

// SetStall makes the server lose patience with a caller sooner than a test would wait for.
func (s *Server) SetStall(d time.Duration) { s.stall = d }

// SetTell makes callers hear how much is put aside more often than a test would wait for.
func (s *Server) SetTell(d time.Duration) { s.tell = d }

// Busy tells whether a backup is under way.
func (s *Server) Busy() bool { return len(s.place) > 0 }
